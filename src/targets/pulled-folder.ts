import type { Stats } from 'node:fs'
import { mkdir, readdir, readlink, rename, rmdir, stat, symlink, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Certificate, firstCertificate } from '../certificate/x509.js'
import { type FileOwner, sweepTemporaries, syncFolder, temporaryBeside, writeDurably } from '../durable-file.js'
import { CertError, systemCode } from '../errors.js'
import { Secret } from '../secret.js'
import { type LockOptions, withLock } from '../state/lock.js'
import { StateFolder } from '../state/state-folder.js'
import { HeldFolder, readPlainFile } from './held-folder.js'
import { sha256 } from './layout.js'
import type { PemTexts, ProvenSet } from './layout-reader.js'
import { type Manifest, pemFiles } from './read-manifest.js'

/** The link that leads to the folder in use. */
export const currentLink = 'current'
const ownFolder = '.acme-oss'
const dueFile = 'due.json'
const combinedFile = 'combined.pem'
const manifestFile = 'README.md'

export interface FileRights {
  /** Of files; a folder can be entered by all who may read them. */
  readonly mode: number
  /** Of files; folders get the group alone: in a folder of their own, others could lead root anywhere. */
  readonly owner: FileOwner | undefined
}

export interface PulledFolderOptions {
  /** An absolute path. */
  readonly directory: string
  readonly rights: FileRights
  /** Certificates and key in one file as well. */
  readonly combined: boolean
  /** Who runs this. */
  readonly userId: number | undefined
}

/** A command that has to run because of a change: it is written down before the change is made. */
export interface Due {
  /** The folder with which it ran last; null where there was none. */
  readonly from: string | null
  readonly to: string
}

/**
 * A folder of a machine that uses certificates: one folder for each set, which nobody changes once it is in use, and a
 * symbolic link that changes from one to the next in one instant. Nothing in it is touched that is not ours.
 */
export class PulledFolder {
  readonly directory: string
  readonly #rights: FileRights
  readonly #combined: boolean
  readonly #userId: number | undefined
  /** While it is locked: whatever somebody puts in the place of the folder meanwhile, this is the one. */
  #held: HeldFolder | undefined
  #state: StateFolder | undefined

  constructor({ directory, rights, combined, userId }: PulledFolderOptions) {
    this.directory = directory
    this.#rights = rights
    this.#combined = combined
    this.#userId = userId
  }

  /** How it is called from outside. */
  path(folder: string): string {
    return join(this.directory, folder)
  }

  /** Another chain of the same certificate has another manifest, and so a folder of its own. */
  folderOf({ manifest }: { readonly manifest: Manifest }): string {
    return `${manifest.archive}-${manifest.digest.slice(0, 8)}`
  }

  /** The folder that the link leads to; undefined where there is none. @throws CertError FOLDER_UNWRITABLE */
  async linked(): Promise<string | undefined> {
    const target = await this.#explained(() => readLinkIfThere(this.#at(currentLink)))
    if (target === undefined || isOurs(target)) return target
    throw new CertError('FOLDER_UNWRITABLE', `${this.path(currentLink)} is not a link that acme-oss pull has made`, {
      hint: `move it away, or name another folder with --to: ls -la ${this.directory}`,
    })
  }

  /**
   * Runs `work` while no other process pulls into the folder, which is made where there is none.
   * @throws CertError FOLDER_UNWRITABLE, LOCKED, or what `work` throws
   */
  async locked<T>(options: LockOptions, work: () => Promise<T>): Promise<T> {
    const held = await this.#explained(() => this.#openDirectory())
    try {
      this.#held = held
      const own = await this.#openOwn(held)
      try {
        return await this.#ownState(async () => {
          const state = await StateFolder.open(own.at())
          this.#state = state
          return await withLock(state, 'pull', options, work).catch(renamed(own.at(), this.path(ownFolder)))
        })
      } finally {
        this.#state = undefined
        await own.close()
      }
    } finally {
      this.#held = undefined
      await held.close()
    }
  }

  /** Of the set that this manifest names, if all of its files lie there as they are wanted. */
  async read(manifest: Manifest): Promise<PemTexts | undefined> {
    try {
      return await HeldFolder.within(this.#at(this.folderOf({ manifest })), (folder) => this.#readIn(folder, manifest))
    } catch (error) {
      if (systemCode(error) === undefined) throw error
      return undefined
    }
  }

  async #readIn(folder: HeldFolder, manifest: Manifest): Promise<PemTexts | undefined> {
    const found = await Promise.all(pemFiles.map(async (file) => (await readPlainFile(folder.at(file))).text))
    const [cert = '', key = '', chain = '', full = ''] = found
    const files: PemTexts = {
      'cert.pem': cert,
      'privkey.pem': Secret.material(key),
      'chain.pem': chain,
      'fullchain.pem': full,
    }
    if (pemFiles.some((file) => sha256(files[file]) !== manifest.sums[file])) return undefined
    const wanted = this.#contents({ manifest, files })
    const states = await Promise.all([...wanted].map(([file, content]) => this.#isAsWanted(folder.at(file), content)))
    return states.every(Boolean) && this.#isFolderAsWanted(await folder.stat()) ? files : undefined
  }

  /** Writes the set into its folder; what is there as it should be stays. @throws CertError FOLDER_UNWRITABLE */
  async fill(set: Pick<ProvenSet, 'manifest' | 'files'>): Promise<void> {
    const name = this.folderOf(set)
    await this.#explained(async () => {
      await makeIfMissing(this.#at(name))
      const folder = await this.#openFolder(this.#at(name), name)
      try {
        // It may be of a run of theirs; it is to be out of their hands before a key lies in it.
        await folder.give(this.#folderRights(), this.#isForAnother() ? this.#userId : undefined)
        await sweepTemporaries(folder.at())
        const { mode, owner } = this.#rights
        await Promise.all(
          [...this.#contents(set)].map(async ([file, content]) => {
            const path = folder.at(file)
            if (!(await this.#isAsWanted(path, content)))
              await writeDurably(path, content, { mode, owner, mayBeLost: true })
          }),
        )
        await syncFolder(folder.at())
      } finally {
        await folder.close()
      }
      await syncFolder(this.#at())
    })
  }

  /** Leads the link to a folder, or takes it away. @throws CertError FOLDER_UNWRITABLE */
  async point(folder: string | undefined): Promise<void> {
    const link = this.#at(currentLink)
    await this.#explained(async () => {
      if (folder === undefined) await unlinkIfThere(link)
      else {
        const temporary = temporaryBeside(link)
        await symlink(folder, temporary)
        await rename(temporary, link).catch(async (error: unknown) => {
          await unlink(temporary)
          throw error
        })
      }
      await syncFolder(this.#at())
    })
  }

  /** Removes the folders of other sets: the files that we write, and each folder that is empty then. */
  async prune(keep: readonly (string | undefined)[]): Promise<void> {
    await sweepTemporaries(this.#at())
    const entries = await readdir(this.#at(), { withFileTypes: true }).catch(() => [])
    const old = entries.filter((entry) => entry.isDirectory() && isOurs(entry.name) && !keep.includes(entry.name))
    for (const { name } of old) {
      const empty = async (folder: HeldFolder): Promise<void> => {
        await sweepTemporaries(folder.at())
        for (const file of [...pemFiles, manifestFile, combinedFile]) {
          await unlink(folder.at(file)).catch(() => undefined)
        }
      }
      await HeldFolder.within(this.#at(name), empty).catch(() => undefined)
      await rmdir(this.#at(name)).catch(() => undefined)
    }
  }

  /** The certificate in a folder; undefined where it cannot be read. */
  async certificateIn(folder: string): Promise<Certificate | undefined> {
    const read = async (held: HeldFolder) => (await readPlainFile(held.at('cert.pem'))).text
    return firstCertificate(await HeldFolder.within(this.#at(folder), read).catch(() => ''))
  }

  async due(): Promise<Due | undefined> {
    const state = this.#state ?? StateFolder.at(this.#at(ownFolder))
    const text = await this.#ownState(() => state.read([dueFile]))
    return text === undefined ? undefined : readDue(text)
  }

  async setDue(due: Due | undefined): Promise<void> {
    const state = this.#state ?? StateFolder.at(this.#at(ownFolder))
    await this.#ownState(() =>
      due === undefined ? state.remove([dueFile]) : state.write([dueFile], `${JSON.stringify(due)}\n`),
    )
  }

  /** Everything that is to lie in a folder. */
  #contents({ manifest, files }: Pick<ProvenSet, 'manifest' | 'files'>): Map<string, string> {
    const key = files['privkey.pem'].reveal()
    const contents = new Map<string, string>(pemFiles.map((file) => [file, file === 'privkey.pem' ? key : files[file]]))
    if (this.#combined) contents.set(combinedFile, files['fullchain.pem'] + key)
    return contents.set(manifestFile, manifest.text)
  }

  async #isAsWanted(path: string, content: string): Promise<boolean> {
    const found = await readPlainFile(path).catch(() => undefined)
    if (found === undefined || found.text !== content) return false
    const { mode, owner } = this.#rights
    const { about } = found
    return (about.mode & 0o7777) === mode && isLike(owner?.uid ?? -1, about.uid) && isLike(owner?.gid ?? -1, about.gid)
  }

  #isFolderAsWanted(about: Stats): boolean {
    const { mode, gid } = this.#folderRights()
    if ((about.mode & 0o7777) !== mode || !isLike(gid, about.gid)) return false
    return !this.#isForAnother() || about.uid === this.#userId
  }

  /** Who may read the files may enter the folder; another owner of them need not be in the group. */
  #folderRights() {
    const { mode, owner } = this.#rights
    const open = (mode & 0o040) === 0 ? 0o700 : 0o750
    return { mode: this.#isForAnother() ? 0o755 : open, gid: owner?.gid ?? -1 }
  }

  #isForAnother(): boolean {
    const uid = this.#rights.owner?.uid ?? -1
    return uid !== -1 && uid !== this.#userId
  }

  #at(name = ''): string {
    return this.#held?.at(name) ?? this.path(name)
  }

  /** The folder of all, which may be a link: those who use certificates have to get into it. */
  async #openDirectory(): Promise<HeldFolder> {
    const mayBeLink = true
    if (await isThere(this.directory)) return await HeldFolder.open(this.directory, { mayBeLink })
    await mkdir(dirname(this.directory), { recursive: true })
    const above = await HeldFolder.open(dirname(this.directory), { mayBeLink })
    try {
      const path = above.at(basename(this.directory))
      if (await makeIfMissing(path)) await HeldFolder.within(path, (made) => made.give(this.#folderRights()))
      return await HeldFolder.open(path, { mayBeLink })
    } finally {
      await above.close()
    }
  }

  /** What lies in a folder of somebody else's can be made to lead root anywhere. */
  async #openOwn(held: HeldFolder): Promise<HeldFolder> {
    const own = await this.#explained(async () => {
      await makeIfMissing(held.at(ownFolder))
      return await this.#openFolder(held.at(ownFolder), ownFolder)
    })
    const { uid } = await own.stat()
    if (this.#userId !== 0 || uid === 0) return own
    await own.close()
    throw new CertError('FOLDER_UNWRITABLE', `${this.path(ownFolder)} belongs to another user (${uid})`, {
      hint: `pull as that user; or, for root to do so from now on: rm -r ${this.path(ownFolder)}`,
    })
  }

  /** @throws CertError where something else is in its place: we may be root, and it a link to anywhere */
  async #openFolder(path: string, name: string): Promise<HeldFolder> {
    return await HeldFolder.open(path).catch((error: unknown) => {
      if (!['ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? '')) throw error
      throw new CertError('FOLDER_UNWRITABLE', `${this.path(name)} is a link, or no folder`, {
        cause: error,
        hint: `acme-oss pull has not made it: move it away: ls -la ${this.directory}`,
      })
    })
  }

  /** What is kept beside the sets is part of the folder as its user knows it. */
  async #ownState<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof CertError) || error.code !== 'STATE_UNUSABLE') throw error
      throw this.#unwritable(systemCode(error.cause) ?? error.message, error)
    }
  }

  async #explained<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const code = error instanceof CertError ? undefined : systemCode(error)
      if (code === undefined) throw error
      throw this.#unwritable(code, error)
    }
  }

  #unwritable(code: string, cause: unknown): CertError {
    return new CertError('FOLDER_UNWRITABLE', `writing into ${this.directory}: ${code}`, {
      cause,
      passing: ['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE'].includes(code),
      hint:
        code === 'EPERM' && this.#rights.owner !== undefined
          ? 'only root may give files away: run it as root, or as the user who is to own them, without --owner'
          : `check that the folder can be written by this user: ls -la ${this.directory}`,
    })
  }
}

/** The folder of a set, as `folderOf` names it. */
const isOurs = (name: string): boolean => /^\d{4}-\d\d-\d\d_[0-9a-f]{8}-[0-9a-f]{8}$/.test(name)

/** The archive that the set of a folder is about. */
export const archiveOf = (folder: string): string => folder.replace(/-[0-9a-f]{8}$/, '')

const isLike = (wanted: number, is: number): boolean => wanted === -1 || wanted === is

const readDue = (text: string): Due | undefined => {
  try {
    const due: unknown = JSON.parse(text)
    if (typeof due !== 'object' || due === null || !('from' in due) || !('to' in due)) return undefined
    const { from, to } = due
    const isFolder = (value: unknown): value is string => typeof value === 'string' && isOurs(value)
    return isFolder(to) && (from === null || isFolder(from)) ? { from, to } : undefined
  } catch {
    return undefined
  }
}

/** Empty for what is no link. */
const readLinkIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readlink(path)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT') return undefined
    if (code === 'EINVAL') return ''
    throw error
  }
}

const isThere = async (path: string): Promise<boolean> => {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

/** An error that says how a path is called, rather than how it is reached. */
const renamed =
  (path: string, called: string) =>
  (error: unknown): never => {
    if (!(error instanceof CertError) || error.code !== 'LOCKED') throw error
    const { code, message, hint, passing } = error
    throw new CertError(code, message, { cause: error, passing, hint: hint?.replace(path, called) })
  }

const unlinkIfThere = async (path: string): Promise<void> => {
  try {
    await unlink(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
}

/** @returns whether it was made */
const makeIfMissing = async (folder: string): Promise<boolean> => {
  try {
    await mkdir(folder, { mode: 0o700 })
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
}
