import { createPrivateKey, type KeyObject } from 'node:crypto'
import type { StateFolder } from './state-folder.js'

/** An order that was placed and has not ended, as it lies in `certificates/<name>/orders/<ca>.json`. */
export interface OrderInProgress {
  readonly schema: 1
  /** Undefined where the order has ended, and answers are left that could not be taken away. */
  readonly url: string | undefined
  readonly directory: string
  /** The account that placed it. */
  readonly account: string
  readonly names: readonly string[]
  readonly keyType: string
  readonly profile: string | undefined
  readonly placedAt: string
  /** How the answers were put in place, and those that may still be there. */
  readonly solver: Readonly<Record<string, string | number | boolean | undefined>>
  readonly challenges: readonly KeptChallenge[]
  /** The certificate that it brought, by the id of its version: nothing is missing but that it is deployed. */
  readonly issued?: string | undefined
}

/** As solvers know it. */
export interface KeptChallenge {
  readonly type: 'http-01' | 'dns-01' | 'tls-alpn-01'
  readonly domain: string
  readonly token: string
  readonly place: string
  readonly value: string
}

const root = 'certificates'
const folder = 'orders'
const recordEnd = '.json'
const keyEnd = '.key.pem'

/** The orders of one certificate that are in progress, one for each CA. What a killed process began is found here. */
export class OrdersInProgress {
  readonly #state: StateFolder
  readonly #folder: readonly string[]

  constructor(state: StateFolder, name: string) {
    this.#state = state
    this.#folder = [root, name, folder]
  }

  /** The directories of the CAs at which there are any. @throws CertError STATE_UNUSABLE */
  async list(): Promise<readonly OrderInProgress[]> {
    // Mostly there is none.
    if (!this.#state.isThereNow(this.#folder)) return []
    const orders = await Promise.all((await this.#files()).map((file) => this.#read(file)))
    return orders.filter((order) => order !== undefined)
  }

  async #files(): Promise<readonly string[]> {
    return (await this.#state.list(this.#folder)).filter((file) => file.endsWith(recordEnd))
  }

  async read(directory: string): Promise<OrderInProgress | undefined> {
    return await this.#read(`${label(directory)}${recordEnd}`)
  }

  /** One that is filed under another CA could never be ended. */
  async #read(file: string): Promise<OrderInProgress | undefined> {
    const order = parse(await this.#state.read([...this.#folder, file]))
    // A long name is shortened on disk.
    const isOwn = order !== undefined && this.#path(`${label(order.directory)}${recordEnd}`) === this.#path(file)
    return isOwn ? order : undefined
  }

  #path(file: string): string {
    return this.#state.path(...this.#folder, file)
  }

  async keep(order: OrderInProgress): Promise<void> {
    const text = `${JSON.stringify({ ...order, url: order.url ?? null }, null, 2)}\n`
    await this.#state.write([...this.#folder, `${label(order.directory)}${recordEnd}`], text)
  }

  /** The key of the certificate that is ordered; without it, what was issued would be of no use. */
  async readKey(directory: string): Promise<KeyObject | undefined> {
    const pem = await this.#state.read([...this.#folder, `${label(directory)}${keyEnd}`])
    try {
      return pem === undefined ? undefined : createPrivateKey(pem)
    } catch {
      return undefined
    }
  }

  async keepKey(directory: string, key: KeyObject): Promise<void> {
    const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString()
    await this.#state.write([...this.#folder, `${label(directory)}${keyEnd}`], pem)
  }

  /** The order has ended. @param left the answers that could not be taken away, for the next run to try again */
  async end(order: OrderInProgress, left: readonly KeptChallenge[]): Promise<void> {
    if (left.length === 0) return await this.remove(order.directory)
    await this.keep({ ...order, url: undefined, challenges: left })
    await this.removeKey(order.directory)
  }

  /** The key goes last: without it, what was issued could no longer be fetched. */
  async remove(directory: string): Promise<void> {
    await this.#state.remove([...this.#folder, `${label(directory)}${recordEnd}`])
    await this.removeKey(directory)
  }

  async removeKey(directory: string): Promise<void> {
    await this.#state.remove([...this.#folder, `${label(directory)}${keyEnd}`])
  }

  /**
   * Takes away what killed processes left half written: it can be a key. So can what lies beside a record that cannot be
   * made sense of, which nobody would ever end.
   */
  async sweep(): Promise<void> {
    await this.#state.sweep(this.#folder)
    for (const file of await this.#files()) {
      if ((await this.#read(file)) !== undefined) continue
      await this.#state.remove([...this.#folder, file])
      await this.#state.remove([...this.#folder, `${file.slice(0, -recordEnd.length)}${keyEnd}`])
    }
  }
}

/** Is it what is wanted now? */
export const isOrderFor = (
  order: OrderInProgress,
  {
    names,
    keyType,
    profile,
  }: { readonly names: readonly string[]; readonly keyType: string; readonly profile?: string | undefined },
): boolean =>
  [...order.names].sort().join() === [...names].sort().join() &&
  order.keyType === keyType &&
  (order.profile ?? undefined) === profile

/** A CA as a file is called after it. */
export const label = (directory: string): string => {
  const { host, pathname } = new URL(directory)
  return `${host}${pathname === '/' ? '' : pathname}`
}

/** Somebody else's hand may have been in it: it says what is run, and which files are removed. */
const parse = (text: string | undefined): OrderInProgress | undefined => {
  if (text === undefined) return undefined
  try {
    const order: unknown = JSON.parse(text)
    return isOrder(order) ? { ...order, url: order.url ?? undefined } : undefined
  } catch {
    return undefined
  }
}

type Written = Omit<OrderInProgress, 'url'> & { readonly url?: string | null }

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isText = (value: unknown): value is string => typeof value === 'string'

const isAddress = (value: unknown): boolean => isText(value) && /^https?:\/\//.test(value) && URL.canParse(value)

const isOrder = (value: unknown): value is Written =>
  isObject(value) &&
  value['schema'] === 1 &&
  ((value['url'] ?? undefined) === undefined || isAddress(value['url'])) &&
  isAddress(value['directory']) &&
  [value['account'], value['keyType'], value['placedAt']].every(isText) &&
  ((value['profile'] ?? undefined) === undefined || isText(value['profile'])) &&
  Array.isArray(value['names']) &&
  value['names'].every(isText) &&
  isObject(value['solver']) &&
  isText(value['solver']['solver']) &&
  Array.isArray(value['challenges']) &&
  value['challenges'].every(isChallenge)

const types: readonly unknown[] = ['http-01', 'dns-01', 'tls-alpn-01'] satisfies readonly KeptChallenge['type'][]

const isChallenge = (value: unknown): boolean =>
  isObject(value) &&
  types.includes(value['type']) &&
  [value['domain'], value['token'], value['place'], value['value']].every(isText) &&
  // It becomes a file's name.
  /^[\w-]{1,200}$/.test(String(value['token']))
