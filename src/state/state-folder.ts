import { createHash } from 'node:crypto'
import { type Dirent, existsSync, readdirSync, readFileSync } from 'node:fs'
import { access, constants, readdir, readFile, rename, rm, stat, unlink } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { makeFolder, sweepTemporaries, syncFolder, writeDurably } from '../durable-file.js'
import { CertError, systemCode } from '../errors.js'

/** The folder in which everything is kept that has to outlive a run. Folders 0700, files 0600, every write atomic. */
export class StateFolder {
  readonly root: string
  readonly #base: string

  private constructor(root: string) {
    this.root = root
    this.#base = join(root)
  }

  /** @throws CertError STATE_UNUSABLE */
  static async open(root: string): Promise<StateFolder> {
    try {
      await makeFolder(root)
      await access(root, constants.R_OK | constants.W_OK | constants.X_OK)
    } catch (error) {
      throw unusable(root, error)
    }
    return new StateFolder(root)
  }

  /** The folder as it is, for looking into it: nothing is made, and it may be missing. */
  static at(root: string): StateFolder {
    return new StateFolder(root)
  }

  /** Where something lies; each part is a name as people know it, and becomes one that any file system takes. */
  path(...parts: readonly string[]): string {
    // No part leads out of its folder, so there is nothing for `join` to look through, which takes long for thousands.
    return [this.#base, ...parts.map(fileName)].join(sep)
  }

  async write(parts: readonly string[], content: string, how: { readonly mayBeLost?: boolean } = {}): Promise<void> {
    try {
      await this.#write(parts, content, how)
    } catch (error) {
      throw unusable(this.path(...parts), error)
    }
  }

  async #write(parts: readonly string[], content: string, how: { readonly mayBeLost?: boolean }): Promise<void> {
    const path = this.path(...parts)
    try {
      await writeDurably(path, content, how)
    } catch (error) {
      // Mostly the folder is there.
      if (systemCode(error) !== 'ENOENT') throw error
      await makeFolder(this.path(...parts.slice(0, -1)))
      await writeDurably(path, content, how)
    }
  }

  /** Undefined where there is no such file. */
  async read(parts: readonly string[]): Promise<string | undefined> {
    try {
      return await readFile(this.path(...parts), 'utf8')
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw unusable(this.path(...parts), error)
    }
  }

  /** The same at once: of thousands of small files, waiting for each takes ten times as long as reading it. */
  readNow(parts: readonly string[]): string | undefined {
    try {
      return readFileSync(this.path(...parts), 'utf8')
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw unusable(this.path(...parts), error)
    }
  }

  /** When the file was written; undefined where there is none. */
  async writtenAt(parts: readonly string[]): Promise<Date | undefined> {
    try {
      return (await stat(this.path(...parts))).mtime
    } catch {
      return undefined
    }
  }

  /** Names of what lies in a folder, as people know them; empty where there is no such folder. */
  async list(parts: readonly string[]): Promise<string[]> {
    return await this.#entries(parts, () => true)
  }

  /** The same without files: somebody may have left one among the folders. */
  async listFolders(parts: readonly string[]): Promise<string[]> {
    return await this.#entries(parts, isNoFile)
  }

  /** The same at once. */
  listFoldersNow(parts: readonly string[]): string[] {
    try {
      return shown(readdirSync(this.path(...parts), { withFileTypes: true }), isNoFile)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return []
      throw unusable(this.path(...parts), error)
    }
  }

  /** Is there anything of that name? Far quicker than to list a folder that is not there. */
  isThereNow(parts: readonly string[]): boolean {
    return existsSync(this.path(...parts))
  }

  /** All that lies in a folder, as the disk has it, hidden files too; undefined where that cannot be seen. */
  filesNow(parts: readonly string[]): readonly string[] | undefined {
    try {
      return readdirSync(this.path(...parts))
    } catch {
      return undefined
    }
  }

  async #entries(parts: readonly string[], isMeant: (entry: Dirent) => boolean): Promise<string[]> {
    try {
      return shown(await readdir(this.path(...parts), { withFileTypes: true }), isMeant)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return []
      throw unusable(this.path(...parts), error)
    }
  }

  /** Takes away what killed processes left in a folder. */
  async sweep(parts: readonly string[]): Promise<void> {
    await sweepTemporaries(this.path(...parts))
  }

  /** Gives a folder another name beside its old one; refuses where something lies there. */
  async renameFolder(parts: readonly string[], name: string): Promise<void> {
    const [from, to] = [this.path(...parts), this.path(...parts.slice(0, -1), name)]
    try {
      await rename(from, to)
      await syncFolder(dirname(to))
    } catch (error) {
      throw unusable(to, error)
    }
  }

  /** With all that lies in it. */
  async removeFolder(parts: readonly string[]): Promise<void> {
    try {
      await rm(this.path(...parts), { recursive: true, force: true })
    } catch (error) {
      throw unusable(this.path(...parts), error)
    }
  }

  async remove(parts: readonly string[]): Promise<void> {
    try {
      await unlink(this.path(...parts))
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw unusable(this.path(...parts), error)
    }
  }
}

const isNoFile = (entry: Dirent): boolean => !entry.isFile()

const shown = (entries: readonly Dirent[], isMeant: (entry: Dirent) => boolean): string[] =>
  entries.filter((entry) => !entry.name.startsWith('.') && isMeant(entry)).map(({ name }) => plainName(name))

const longestFileName = 200
// Most names are, and there may be thousands.
const plain = /^[\w-][\w.-]{0,199}$/

/** The name percent-encoded, so that no name leads out of its folder or hides in it. */
const fileName = (name: string): string => {
  if (plain.test(name)) return name
  const encoded = encodeURIComponent(name).replaceAll('*', '%2A').replace(/^\./, '%2E')
  if (encoded.length <= longestFileName) return encoded
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 16)
  // Cut behind a whole character rather than within one, so that it can still be decoded.
  const start = decodable(encoded.slice(0, longestFileName - 17))
  return `${start}-${digest}`
}

/** Without the bytes of a character that is not all there. */
const decodable = (encoded: string): string => {
  for (let end = encoded.length; ; end--) {
    try {
      decodeURIComponent(encoded.slice(0, end))
      return encoded.slice(0, end)
    } catch {}
  }
}

/** What is not one of ours stays as it is. */
const plainName = (file: string): string => {
  if (!file.includes('%')) return file
  try {
    return decodeURIComponent(file)
  } catch {
    return file
  }
}

const unusable = (path: string, error: unknown): CertError =>
  new CertError('STATE_UNUSABLE', `the state folder cannot be used: ${path}: ${systemCode(error) ?? String(error)}`, {
    cause: error,
    hint: 'give one that this user can write with --state-dir or ACME_OSS_STATE_DIR',
  })
