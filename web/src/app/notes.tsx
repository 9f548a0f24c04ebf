import { message } from "antd";
import { createContext, type ReactNode, useContext } from "react";

type Notes = ReturnType<typeof message.useMessage>[0];

const Context = createContext<Notes | undefined>(undefined);

/** Short notes at the top of the page, for what a person has just done. */
export function NotesProvider({ children }: { children: ReactNode }) {
  const [notes, holder] = message.useMessage({ maxCount: 3 });
  return (
    <Context.Provider value={notes}>
      {holder}
      {children}
    </Context.Provider>
  );
}

export function useNotes(): Notes {
  const notes = useContext(Context);
  if (!notes) throw new Error("useNotes belongs within NotesProvider");
  return notes;
}
