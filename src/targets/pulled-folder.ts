import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rmdir,
  symlink,
  unlink,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Certificate, firstCertificate } from '../certificate/x509.js'
import { type FileOwner, sweepTemporaries, syncFolder, temporaryBeside, writeDurably } from '../durable-file.js'
import { CertError, systemCode } from '../errors.js'
import { Secret } from '../secret.js'
import { type LockOptions, withLock } from '../state/lock.js'
import { StateFolder } from '../state/state-folder.js'
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
  readonly owner: FileOwner | undefined
}

export interface PulledFolderOptions {
  /** An absolute path. */
  readonly directory: string
  readonly rights: FileRights
  /** Certificates and key in one file as well. */
  readonly combined: boolean
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

  constructor({ directory, rights, combined }: PulledFolderOptions) {
    this.directory = directory
    this.#rights = rights
    this.#combined = combined
  }

  path(folder: string): string {
    return join(this.directory, folder)
  }

  /** Another chain of the same certificate has another manifest, and so a folder of its own. */
  folderOf({ manifest }: { readonly manifest: Manifest }): string {
    return `${manifest.archive}-${manifest.digest.slice(0, 8)}`
  }

  /** The folder that the link leads to; undefined where there is none. @throws CertError FOLDER_UNWRITABLE */
  async linked(): Promise<string | undefined> {
    const link = this.path(currentLink)
    const target = await this.#explained(() => readLinkIfThere(link))
    if (target === undefined || isOurs(target)) return target
    throw new CertError('FOLDER_UNWRITABLE', `${link} is not a link that acme-oss pull has made`, {
      hint: `move it away, or name another folder with --to: ls -la ${this.directory}`,
    })
  }

  /**
   * Runs `work` while no other process pulls into the folder, which is made where there is none.
   * @throws CertError FOLDER_UNWRITABLE, LOCKED, or what `work` throws
   */
  async locked<T>(options: LockOptions, work: () => Promise<T>): Promise<T> {
    await this.#explained(() => this.#makeDirectory())
    const state = await this.#ownState(() => StateFolder.open(this.path(ownFolder)))
    return await this.#ownState(() => withLock(state, 'pull', options, work))
  }

  /** Of the set that this manifest names, if all of its files lie there as they are wanted. */
  async read(manifest: Manifest): Promise<PemTexts | undefined> {
    const folder = this.path(this.folderOf({ manifest }))
    if ((await lstat(folder).catch(() => undefined))?.isDirectory() !== true) return undefined
    const texts = await Promise.all(pemFiles.map((file) => readIfThere(join(folder, file))))
    const [cert, key, chain, full] = texts
    if (cert === undefined || key === undefined || chain === undefined || full === undefined) return undefined
    const files: PemTexts = {
      'cert.pem': cert,
      'privkey.pem': Secret.material(key),
      'chain.pem': chain,
      'fullchain.pem': full,
    }
    if (pemFiles.some((file) => sha256(files[file]) !== manifest.sums[file])) return undefined
    const wanted = this.#contents({ manifest, files })
    const states = await Promise.all(
      [...wanted].map(([file, content]) => this.#isAsWanted(join(folder, file), content)),
    )
    return states.every(Boolean) && (await this.#isAsWanted(folder)) ? files : undefined
  }

  /** Writes the set into its folder; what is there as it should be stays. @throws CertError FOLDER_UNWRITABLE */
  async fill(set: Pick<ProvenSet, 'manifest' | 'files'>): Promise<void> {
    const folder = this.path(this.folderOf(set))
    await this.#explained(async () => {
      await this.#makeOwn(folder)
      await this.#give(folder)
      await sweepTemporaries(folder)
      const { mode, owner } = this.#rights
      await Promise.all(
        [...this.#contents(set)].map(async ([file, content]) => {
          const path = join(folder, file)
          if (!(await this.#isAsWanted(path, content)))
            await writeDurably(path, content, { mode, owner, mayBeLost: true })
        }),
      )
      await syncFolder(folder)
      await syncFolder(this.directory)
    })
  }

  /** Leads the link to a folder, or takes it away. @throws CertError FOLDER_UNWRITABLE */
  async point(folder: string | undefined): Promise<void> {
    const link = this.path(currentLink)
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
      await syncFolder(this.directory)
    })
  }

  /** Removes the folders of other sets: the files that we write, and each folder that is empty then. */
  async prune(keep: readonly (string | undefined)[]): Promise<void> {
    await sweepTemporaries(this.directory)
    const entries = await readdir(this.directory, { withFileTypes: true }).catch(() => [])
    const old = entries.filter((entry) => entry.isDirectory() && isOurs(entry.name) && !keep.includes(entry.name))
    for (const { name } of old) {
      const folder = this.path(name)
      await sweepTemporaries(folder)
      for (const file of [...pemFiles, manifestFile, combinedFile]) {
        await unlink(join(folder, file)).catch(() => undefined)
      }
      await rmdir(folder).catch(() => undefined)
    }
  }

  /** The certificate in a folder; undefined where it cannot be read. */
  async certificateIn(folder: string): Promise<Certificate | undefined> {
    return firstCertificate(await readFile(join(this.path(folder), 'cert.pem'), 'utf8').catch(() => ''))
  }

  async due(): Promise<Due | undefined> {
    const text = await this.#ownState(() => StateFolder.at(this.path(ownFolder)).read([dueFile]))
    return text === undefined ? undefined : readDue(text)
  }

  async setDue(due: Due | undefined): Promise<void> {
    const state = StateFolder.at(this.path(ownFolder))
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

  async #isAsWanted(path: string, content?: string): Promise<boolean> {
    const about = await lstat(path).catch(() => undefined)
    if (about === undefined || (content === undefined ? !about.isDirectory() : !about.isFile())) return false
    const { mode, owner } = this.#rights
    const wanted = content === undefined ? folderMode(mode) : mode
    if ((about.mode & 0o7777) !== wanted) return false
    if (owner !== undefined && !(isLike(owner.uid, about.uid) && isLike(owner.gid, about.gid))) return false
    return content === undefined || (await readIfThere(path)) === content
  }

  /** The folder of all, which may be a link: those who use certificates have to get into it. */
  async #makeDirectory(): Promise<void> {
    await mkdir(dirname(this.directory), { recursive: true })
    if (await makeIfMissing(this.directory)) await this.#give(this.directory)
  }

  /** @throws ENOTDIR where something else is in its place: we may be root, and it a link to anywhere */
  async #makeOwn(folder: string): Promise<void> {
    if (!(await makeIfMissing(folder)) && !(await lstat(folder)).isDirectory()) {
      throw Object.assign(new Error(`${folder} is no folder`), { code: 'ENOTDIR' })
    }
  }

  async #give(folder: string): Promise<void> {
    const { mode, owner } = this.#rights
    if (owner !== undefined) await chown(folder, owner.uid, owner.gid)
    await chmod(folder, folderMode(mode))
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

/** Who may read the files may enter the folder. */
const folderMode = (mode: number): number => ((mode & 0o040) === 0 ? 0o700 : 0o750)

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

const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return undefined
  }
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
