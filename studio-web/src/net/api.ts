/** Requests to the server that this page came from. */

import { signal } from "@preact/signals";
import { decodeGrey, type GreyImage } from "../logic/png";

/** Whether the server did not answer the last request. */
export const isAway = signal(false);

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly remedy: string | null = null,
  ) {
    super(message);
  }
}

export const query = (path: string, values: Record<string, string | number | undefined>): string => {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return given.length > 0 ? `${path}?${given.map(([k, v]) => `${k}=${encodeURIComponent(v as string)}`).join("&")}` : path;
};

/** A request; an answer that is no success becomes an `ApiError`, no answer one with status 0. */
export async function request(url: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    isAway.value = true;
    throw new ApiError(0, "the server does not answer");
  }
  isAway.value = false;
  if (response.ok) return response;
  throw await errorOf(response);
}

export async function errorOf(response: Response): Promise<ApiError> {
  const body = (await response.json().catch(() => ({}))) as { error?: string; detail?: string; remedy?: string };
  return new ApiError(response.status, body.error ?? body.detail ?? `the server answered ${response.status}`, body.remedy ?? null);
}

export async function getJson<T>(url: string, init?: RequestInit): Promise<T> {
  return (await (await request(url, init)).json()) as T;
}

export async function send<T>(method: "POST" | "PATCH" | "DELETE" | "PUT", url: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  const response = await request(url, init);
  return (response.status === 204 ? {} : await response.json()) as T;
}

/** A grey PNG, or null where there is none (204, 404). */
export async function getGrey(url: string, init?: RequestInit, look?: (headers: Headers) => void): Promise<(GreyImage & { source: string }) | null> {
  let response: Response;
  try {
    response = await request(url, init);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
  look?.(response.headers);
  if (response.status === 204) return null;
  const source = response.headers.get("X-Source") ?? "predicted";
  return { ...decodeGrey(new Uint8Array(await response.arrayBuffer())), source };
}

export const thumbUrl = (name: string, side = 192): string => query("/api/thumb", { name, side });
