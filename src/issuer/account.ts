import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { CertError } from '../errors.js'
import type { StateFolder } from '../state/state-folder.js'
import type { Ca } from './ca.js'
import { type Directory, readDirectory } from './protocol.js'

/** What we are to a CA, kept in `accounts/<ca>/<account>/`. */
export interface Account {
  readonly key: KeyObject
  /** Absent until it is registered. */
  readonly url: string | undefined
}

const keyFile = 'key.pem'
const accountFile = 'account.json'
const directoryFile = 'directory.json'

/** The CA's URLs change hardly ever; what an earlier run kept of them saves a round trip, in ms. */
const longestKept = 24 * 60 * 60 * 1000

/** The accounts and directories of one CA on disk. */
export class AccountStore {
  readonly #state: StateFolder
  readonly #ca: readonly string[]
  readonly #folder: readonly string[]

  private constructor(state: StateFolder, ca: readonly string[], account: string) {
    this.#state = state
    this.#ca = ca
    this.#folder = [...ca, account]
  }

  /** The account of this address; without one, the only account that there is. */
  static async open(state: StateFolder, ca: Ca, email: string | undefined): Promise<AccountStore> {
    const { host, pathname } = new URL(ca.directory)
    const folder = ['accounts', `${host}${pathname === '/' ? '' : pathname}`]
    const known = (await state.list(folder)).filter((name) => name !== directoryFile)
    const [only] = known
    const account = email ?? (known.length === 1 && only !== undefined ? only : 'default')
    return new AccountStore(state, folder, account)
  }

  /** Undefined where there is none yet. @throws CertError STATE_UNUSABLE */
  async read(): Promise<Account | undefined> {
    const [pem, json] = await Promise.all([
      this.#state.read([...this.#folder, keyFile]),
      this.#state.read([...this.#folder, accountFile]),
    ])
    if (pem === undefined) return undefined
    const account = json === undefined ? undefined : (parse(json) as { readonly url?: unknown } | undefined)
    return {
      key: readKey(pem, this.#state.path(...this.#folder, keyFile)),
      url: typeof account?.url === 'string' ? account.url : undefined,
    }
  }

  /** Makes a key and keeps it before anybody is told of it, so that no account can be lost. */
  async create(): Promise<Account> {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    await this.#state.write([...this.#folder, keyFile], pem)
    return { key: privateKey, url: undefined }
  }

  async keepUrl(url: string): Promise<void> {
    await this.#state.write([...this.#folder, accountFile], `${JSON.stringify({ url }, null, 2)}\n`)
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
}

interface KeptDirectory {
  readonly fetchedAt: string
  /** Perhaps of an older version of ours, or of another CA's making. */
  readonly directory: unknown
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

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
