import { QueryClientProvider } from "@tanstack/react-query";
import { ConfigProvider } from "antd";
import { type ReactNode, useMemo } from "react";
import { NotesProvider } from "./notes";
import { queryClient } from "./query-client";
import { antdTheme, useMode } from "./theme";

/** The console writes a nonce into index.html; styles that are made at run time carry it. */
const nonce = document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce;

export function Providers({ children }: { children: ReactNode }) {
  const mode = useMode();
  const theme = useMemo(() => antdTheme(mode), [mode]);
  return (
    <QueryClientProvider client={queryClient}>
      <ConfigProvider
        theme={theme}
        {...(nonce ? { csp: { nonce } } : {})}
        button={{ autoInsertSpace: false }}
      >
        <NotesProvider>{children}</NotesProvider>
      </ConfigProvider>
    </QueryClientProvider>
  );
}
