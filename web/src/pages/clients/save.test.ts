import { expect, it } from "vitest";
import type { MadeApiClient } from "../../api/types";
import { written } from "./save";

const made: MadeApiClient = {
  client: {
    id: "c1",
    name: '=1+1, "nightly"',
    permissions: ["view-sessions"],
    made_by: "admin",
    created_at: "2026-03-01T09:30:00.000000Z",
    expires_at: "2027-03-01T09:30:00.000000Z",
    expired: false,
    last_used_at: null,
  },
  secret: "-s3cret",
  token_url: "https://c.example/cctrustoauth2/abc/tokens/clients",
  customer_id: "abc",
  sites: [{ id: "s1", name: "Vienna" }],
};

it("writes a line that spreadsheets read and do not run", () => {
  const [head, line, end] = written(made, "csv").split("\r\n");
  expect(head).toBe("name,id,secret,customer_id,site_id,token_url,expires_at");
  expect(line).toContain(`"'=1+1, ""nightly""",c1,`);
  expect(end).toBe("");
});

it("writes the secret as it is for programs", () => {
  const read = JSON.parse(written(made, "json"));
  expect(read).toMatchObject({ id: "c1", secret: "-s3cret", customer_id: "abc", site_id: "s1" });
});
