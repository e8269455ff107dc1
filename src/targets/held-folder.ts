import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Who may enter a folder. Its owner stays who made it: whoever owns a folder can swap what lies in it. */
export interface FolderRights {
  readonly mode: number
  /** -1 leaves it as it is. */
  readonly gid: number
}

/**
 * A folder that is held open. What is reached by `at` lies in that very folder, also when somebody who may write in the
 * folder above moves it away meanwhile and puts a link in its place. That takes the /proc of Linux; elsewhere it is the
 * folder's path, and only the rights that are given here are out of their reach.
 */
export class HeldFolder {
  readonly #handle: FileHandle
  readonly #path: string

  private constructor(handle: FileHandle, path: string) {
    this.#handle = handle
    this.#path = path
  }

  /** @throws ENOTDIR where it is a link (unless it may be one) or no folder, or whatever the system says */
  static async open(path: string, how: { readonly mayBeLink?: boolean } = {}): Promise<HeldFolder> {
    const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants
    const handle = await open(path, O_RDONLY | O_DIRECTORY | (how.mayBeLink ? 0 : O_NOFOLLOW))
    try {
      const byHandle = join('/proc/self/fd', String(handle.fd))
      const [there, held] = await Promise.all([stat(byHandle).catch(() => undefined), handle.stat()])
      return new HeldFolder(handle, there?.ino === held.ino && there.dev === held.dev ? byHandle : path)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  static async within<T>(path: string, work: (folder: HeldFolder) => Promise<T>): Promise<T> {
    const folder = await HeldFolder.open(path)
    try {
      return await work(folder)
    } finally {
      await folder.close()
    }
  }

  at(...names: readonly string[]): string {
    return join(this.#path, ...names)
  }

  stat(): Promise<Stats> {
    return this.#handle.stat()
  }

  /** @param uid only where it is another's: whose it is to be */
  async give({ mode, gid }: FolderRights, uid = -1): Promise<void> {
    const is = await this.stat()
    if ((uid !== -1 && uid !== is.uid) || (gid !== -1 && gid !== is.gid)) await this.#handle.chown(uid, gid)
    if (((await this.stat()).mode & 0o7777) !== mode) await this.#handle.chmod(mode)
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

/** Of a small file in a folder of others: no link is followed, and a pipe is not waited for. */
export const readPlainFile = async (path: string): Promise<{ readonly text: string; readonly about: Stats }> => {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const about = await handle.stat()
    if (!about.isFile()) throw Object.assign(new Error(`${path} is no file`), { code: 'EINVAL' })
    return { text: await handle.readFile('utf8'), about }
  } finally {
    await handle.close()
  }
}
