import "@fontsource-variable/inter/index.css";
import "./app/app.css";
import "./i18n";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Providers } from "./app/providers";
import { queryClient } from "./app/query-client";
import { makeRouter } from "./app/router";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no element with the id root");
const router = makeRouter(queryClient);
createRoot(root).render(
  <StrictMode>
    <Providers>
      <RouterProvider router={router} />
    </Providers>
  </StrictMode>,
);
