/** The outbox's entries in IndexedDB, one set for each project. */

import type { Entry, Store } from "./outbox";

const NAME = "tag2mask-studio";
const TABLE = "outbox";

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export class BrowserStore implements Store {
  private database: Promise<IDBDatabase> | null = null;

  /** @param project its folder: the same browser may open several projects at one address */
  constructor(private readonly project: string) {}

  private async table(mode: IDBTransactionMode): Promise<IDBObjectStore> {
    this.database ??= open();
    return (await this.database).transaction(TABLE, mode).objectStore(TABLE);
  }

  async load(): Promise<Entry[]> {
    const range = IDBKeyRange.bound([this.project], [this.project, []]);
    return done((await this.table("readonly")).getAll(range)) as Promise<Entry[]>;
  }

  async put(entry: Entry): Promise<void> {
    await done((await this.table("readwrite")).put(entry, [this.project, entry.id]));
  }

  async remove(id: number): Promise<void> {
    await done((await this.table("readwrite")).delete([this.project, id]));
  }
}
