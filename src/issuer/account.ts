import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { CertError } from '../errors.js'
import type { StateFolder } from '../state/state-folder.js'
import { type Ca, findCa } from './ca.js'
import { type Directory, readDirectory } from './protocol.js'

/** What we are to a CA, kept in `accounts/<ca>/<account>/`. */
export interface Account {
  readonly key: KeyObject
  /** Absent until it is registered. */
  readonly url: string | undefined
  /** There while nobody knows whether the CA has it by now: `settleRollover` finds out. */
  readonly nextKey?: KeyObject | undefined
}

const root = 'accounts'
const keyFile = 'key.pem'
const nextKeyFile = 'next-key.pem'
const accountFile = 'account.json'
const directoryFile = 'directory.json'

/** The CA's URLs change hardly ever; what an earlier run kept of them saves a round trip, in ms. */
const longestKept = 24 * 60 * 60 * 1000

/** One account at one CA on disk, and what is kept of that CA. */
export class AccountStore {
  readonly ca: Ca
  /** What it is filed under: its e-mail address, or `default`. */
  readonly name: string
  readonly #state: StateFolder
  readonly #ca: readonly string[]
  readonly #folder: readonly string[]

  private constructor(state: StateFolder, ca: Ca, folder: readonly string[], name: string) {
    this.ca = ca
    this.name = name
    this.#state = state
    this.#ca = folder
    this.#folder = [...folder, name]
  }

  /**
   * The account of this address, or that had it before; without one, the first that there was: what was ordered with it
   * when it was the only one is renewed with it when there are others.
   */
  static async open(state: StateFolder, ca: Ca, email: string | undefined): Promise<AccountStore> {
    const folder = folderOf(ca)
    const known = (await state.list(folder)).filter((name) => name !== directoryFile)
    const name = email ?? (await firstOf(state, folder, known)) ?? 'default'
    const renamed =
      email === undefined || known.includes(email) ? undefined : await holderOf(state, folder, known, email)
    return new AccountStore(state, ca, folder, renamed ?? name)
  }

  /** Every account that has a key, of one CA or of all. */
  static async all(state: StateFolder, ca: Ca | undefined): Promise<AccountStore[]> {
    const stores: AccountStore[] = []
    for (const place of (await state.listFolders([root])).sort()) {
      const folder = [root, place]
      // Long names are shortened on disk.
      if (ca !== undefined && state.path(...folder) !== state.path(...folderOf(ca))) continue
      for (const name of (await state.listFolders(folder)).sort()) {
        const keptCa = ca ?? (await caOf(state, place, name))
        const key = await state.read([...folder, name, keyFile])
        if (keptCa !== undefined && key !== undefined) stores.push(new AccountStore(state, keptCa, folder, name))
      }
    }
    return stores
  }

  /** Undefined where there is none yet. @throws CertError STATE_UNUSABLE */
  async read(): Promise<Account | undefined> {
    const [pem, json, nextPem] = await Promise.all([
      this.#state.read([...this.#folder, keyFile]),
      this.#state.read([...this.#folder, accountFile]),
      this.#state.read([...this.#folder, nextKeyFile]),
    ])
    if (pem === undefined) return undefined
    return {
      key: readKey(pem, this.#state.path(...this.#folder, keyFile)),
      url: keptIn(json).url,
      ...(nextPem !== undefined && { nextKey: readKey(nextPem, this.#state.path(...this.#folder, nextKeyFile)) }),
    }
  }

  /** Makes a key and keeps it before anybody is told of it, so that no account can be lost. */
  async create(): Promise<Account> {
    return { key: await this.#newKey(keyFile), url: undefined }
  }

  async keepUrl(url: string): Promise<void> {
    await this.#keep({ ...(await this.#kept()), url })
  }

  /** Makes a second key that is to follow the first, and keeps it before the CA is told of it. */
  async createNextKey(): Promise<KeyObject> {
    return await this.#newKey(nextKeyFile)
  }

  /** The CA has it: the second key takes the place of the first. */
  async adoptNextKey(nextKey: KeyObject): Promise<void> {
    await this.#state.write([...this.#folder, keyFile], pemOf(nextKey))
    await this.dropNextKey()
  }

  async dropNextKey(): Promise<void> {
    await this.#state.remove([...this.#folder, nextKeyFile])
  }

  /**
   * Files the account under another name. Timers and configurations that still have the former one find it all the same.
   * @throws CertError USAGE where there is one of that name
   */
  async rename(name: string): Promise<AccountStore> {
    if (name === this.name) return this
    await this.requireFree(name)
    const kept = await this.#kept()
    await this.#keep({ ...kept, formerly: [...kept.formerly.filter((one) => one !== name), this.name] })
    await this.#state.renameFolder(this.#folder, name)
    return new AccountStore(this.#state, this.ca, this.#ca, name)
  }

  /** @throws CertError USAGE */
  async requireFree(name: string): Promise<void> {
    if (name === this.name || (await this.#state.list([...this.#ca, name])).length === 0) return
    throw new CertError('USAGE', `there is another account of ${name} at ${this.ca.name}`, {
      hint: 'acme-oss account show lists them',
    })
  }

  async readDirectory(now: Date): Promise<Directory | undefined> {
    const text = await this.#state.read([...this.#ca, directoryFile])
    const kept = text === undefined ? undefined : (parse(text) as KeptDirectory | undefined)
    const age = now.getTime() - Date.parse(kept?.fetchedAt ?? '')
    return age >= 0 && age < longestKept ? readDirectory(kept?.directory) : undefined
  }

  async keepDirectory(directory: Directory, now: Date): Promise<void> {
    const kept: KeptDirectory = { fetchedAt: now.toISOString(), directory }
    await this.#state.write([...this.#ca, directoryFile], `${JSON.stringify(kept, null, 2)}\n`)
  }

  async #kept(): Promise<KeptAccount> {
    return keptIn(await this.#state.read([...this.#folder, accountFile]))
  }

  async #keep(account: KeptAccount): Promise<void> {
    const kept: KeptAccount = { ...account, directory: this.ca.directory }
    await this.#state.write([...this.#folder, accountFile], `${JSON.stringify(kept, null, 2)}\n`)
  }

  async #newKey(file: string): Promise<KeyObject> {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await this.#state.write([...this.#folder, file], pemOf(privateKey))
    return privateKey
  }
}

interface KeptAccount {
  readonly url: string | undefined
  /** Of the CA. Older files do not have it. */
  readonly directory: string | undefined
  /** What else it was filed under. */
  readonly formerly: readonly string[]
}

interface KeptDirectory {
  readonly fetchedAt: string
  /** Perhaps written by an older version of ours. */
  readonly directory: unknown
}

const firstOf = async (
  state: StateFolder,
  folder: readonly string[],
  names: readonly string[],
): Promise<string | undefined> => {
  const made = await Promise.all(
    names.map(async (name) => ({ name, at: await state.writtenAt([...folder, name, keyFile]) })),
  )
  const there = made.flatMap(({ name, at }) => (at === undefined ? [] : [{ name, at }]))
  return there.sort((a, b) => a.at.getTime() - b.at.getTime())[0]?.name
}

/** What whoever makes or changes an account at the CA holds the lock of. */
export const accountLock = ({ directory }: Ca): string => `account at ${directory}`

const folderOf = ({ directory }: Ca): readonly string[] => {
  const { host, pathname } = new URL(directory)
  return [root, `${host}${pathname === '/' ? '' : pathname}`]
}

/** The account that was filed under this name before. */
const holderOf = async (
  state: StateFolder,
  folder: readonly string[],
  names: readonly string[],
  former: string,
): Promise<string | undefined> => {
  for (const name of names) {
    if (keptIn(await state.read([...folder, name, accountFile])).formerly.includes(former)) return name
  }
  return undefined
}

/** The CA that a folder is of; undefined where it is none of ours. */
const caOf = async (state: StateFolder, place: string, account: string): Promise<Ca | undefined> => {
  const { directory } = keptIn(await state.read([root, place, account, accountFile]))
  try {
    return findCa(directory ?? `https://${place}`)
  } catch {
    return undefined
  }
}

const keptIn = (json: string | undefined): KeptAccount => {
  const { url, directory, formerly } = Object(json === undefined ? undefined : parse(json)) as Readonly<
    Record<string, unknown>
  >
  return {
    url: typeof url === 'string' ? url : undefined,
    directory: typeof directory === 'string' ? directory : undefined,
    formerly: Array.isArray(formerly) ? formerly.map(String) : [],
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()

const readKey = (pem: string, path: string): KeyObject => {
  try {
    return createPrivateKey(pem)
  } catch (error) {
    throw new CertError('STATE_UNUSABLE', `the account key ${path} cannot be read`, {
      cause: error,
      hint: 'restore it from a backup, or move it away: a new account is registered then',
    })
  }
}
