/** Durations and numbers in words. */

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const counted = (n: number, word: string, plural = `${word}s`): string => `${number(n)} ${n === 1 ? word : plural}`;

export const number = (n: number): string => n.toLocaleString("en-US");

export const percent = (part: number, all: number): number => (all > 0 ? Math.round((100 * part) / all) : 0);
