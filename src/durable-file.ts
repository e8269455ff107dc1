import { createHash, randomBytes } from 'node:crypto'
import { link, lstat, mkdir, open, readdir, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemCode } from './errors.js'
import { isRunning, machine } from './process-identity.js'

export interface FileOwner {
  readonly uid: number
  readonly gid: number
}

export interface FileModes {
  /** Of the file, whatever the umask; 0600 unless said otherwise. */
  readonly mode?: number
  /** Whose it is; the process's own unless told, and -1 leaves one of the two as it is. */
  readonly owner?: FileOwner | undefined
  /**
   * After a power cut the file may be what it was before, or not there, though never half of it: for what is written
   * down again and again, or where the folder is made to last for several files at once.
   */
  readonly mayBeLost?: boolean
}

/**
 * Writes a file so that a reader, also one after a power cut, sees the old content or the new and nothing between:
 * a temporary file beside it, fsync, rename.
 */
export const writeDurably = async (path: string, content: string, modes: FileModes = {}): Promise<void> => {
  await throughTemporary(path, content, modes, async (temporary) => {
    await rename(temporary, path)
  })
}

/** The same, but leaves a file that is already there alone. */
export const createDurably = async (
  path: string,
  content: string,
  modes: FileModes = {},
): Promise<'written' | 'exists'> => {
  // The usual case of a repeat: not even a temporary file, whose coming and going others may be watching.
  if (await isThere(path)) return 'exists'
  let result: 'written' | 'exists' = 'written'
  await throughTemporary(path, content, modes, async (temporary) => {
    try {
      // Unlike a rename, a link does not replace.
      await link(temporary, path)
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error
      result = 'exists'
    }
    await unlink(temporary)
  })
  return result
}

const isThere = async (path: string): Promise<boolean> => {
  try {
    await lstat(path)
    return true
  } catch {
    return false
  }
}

const throughTemporary = async (
  path: string,
  content: string,
  { mode = 0o600, owner, mayBeLost = false }: FileModes,
  place: (temporary: string) => Promise<void>,
): Promise<void> => {
  const temporary = temporaryBeside(path)
  try {
    const file = await open(temporary, 'wx', mode)
    try {
      if (owner !== undefined) await file.chown(owner.uid, owner.gid)
      // A umask only takes away, and from the owner it never does.
      if (mode !== 0o600) await file.chmod(mode)
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await place(temporary)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  if (!mayBeLost) await syncFolder(dirname(path))
}

const host = createHash('sha256').update(machine).digest('hex').slice(0, 8)

/** A name that no other process uses, and that no listing of ours takes for a real one. */
export const temporaryBeside = (path: string): string =>
  join(dirname(path), `.tmp-${host}-${process.pid}-${randomBytes(6).toString('hex')}`)

/** May such a file be among these, of whichever process? */
export const holdTemporaries = (names: readonly string[]): boolean => names.some((name) => name.startsWith('.tmp-'))

/** Removes what processes of this machine left in the folder that were killed while writing: it can hold keys. */
export const sweepTemporaries = async (folder: string): Promise<void> => {
  const names = await readdir(folder).catch(() => [])
  const left = names.filter((name) => {
    const [, itsHost, pid] = /^\.tmp-([0-9a-f]{8})-(\d+)-/.exec(name) ?? []
    return itsHost === host && !isRunning(Number(pid))
  })
  await Promise.all(left.map((name) => unlink(join(folder, name)).catch(() => undefined)))
}

/** Makes a rename, link or removal in the folder last. */
export const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } catch (error) {
    // Some file systems have no fsync for folders.
    if (!['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM'].includes(systemCode(error) ?? '')) throw error
  } finally {
    await handle.close()
  }
}

/** Makes the folder and what is missing above it, for the owner alone; one that is there stays as it is. */
export const makeFolder = async (folder: string): Promise<void> => {
  await mkdir(folder, { recursive: true, mode: 0o700 })
}
