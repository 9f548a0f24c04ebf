import { CloseOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { type ReactNode, useEffect, useId, useRef } from "react";
import { useTranslation } from "react-i18next";
import { focusContent } from "./keyboard";

interface Props {
  title: string;
  onClose: () => void;
  children: ReactNode;
  footer?: ReactNode;
  width?: number;
  /** A click beside the dialog, or Escape, does not close it. */
  firm?: boolean;
  /** Enter in a field, or the footer's button of type submit. */
  onSubmit?: () => void;
}

/**
 * A dialog above everything else, in full screen as well. The browser's own element keeps the focus inside, and needs
 * no style that the content security policy would refuse.
 */
export function Dialog({ title, onClose, children, footer, width = 560, firm = false, onSubmit }: Props) {
  const { t } = useTranslation();
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    // The field first; the browser would choose the button that closes.
    const first =
      element?.querySelector<HTMLElement>("[data-first]") ??
      element?.querySelector<HTMLElement>("input, button[type=submit]");
    first?.focus();
    return () => {
      element?.close();
      // By now it is gone from the page, and the browser has forgotten where the focus was.
      if (document.activeElement !== document.body) return;
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      if (document.activeElement === document.body) focusContent();
    };
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes it, by the browser
    <dialog
      ref={dialog}
      className="dialog"
      style={{ width }}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        if (!firm) onClose();
      }}
      onClick={(event) => {
        if (!firm && event.target === dialog.current) onClose();
      }}
    >
      <form
        className="dialog-body"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          onSubmit?.();
        }}
      >
        <header>
          <h2 id={id}>{title}</h2>
          <Button
            type="text"
            size="small"
            icon={<CloseOutlined />}
            aria-label={t("common.close")}
            onClick={onClose}
          />
        </header>
        {children}
        {footer ? <footer>{footer}</footer> : null}
      </form>
    </dialog>
  );
}

/** For menus of fields in a dialog: what lies outside of it cannot be reached. */
export function inDialog(trigger: HTMLElement): HTMLElement {
  return trigger.closest("dialog") ?? document.body;
}
