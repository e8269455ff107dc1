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
    if ((this.#state.filesNow(this.#folder) ?? []).length === 0) return []
    const files = (await this.#state.list(this.#folder)).filter((file) => file.endsWith('.json'))
    const orders = await Promise.all(files.map(async (file) => parse(await this.#state.read([...this.#folder, file]))))
    return orders.filter((order) => order !== undefined)
  }

  async read(directory: string): Promise<OrderInProgress | undefined> {
    return parse(await this.#state.read([...this.#folder, `${label(directory)}.json`]))
  }

  async keep(order: OrderInProgress): Promise<void> {
    const text = `${JSON.stringify({ ...order, url: order.url ?? null }, null, 2)}\n`
    await this.#state.write([...this.#folder, `${label(order.directory)}.json`], text)
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
    await this.#state.remove([...this.#folder, `${label(directory)}.json`])
    await this.removeKey(directory)
  }

  async removeKey(directory: string): Promise<void> {
    await this.#state.remove([...this.#folder, `${label(directory)}${keyEnd}`])
  }

  /** Takes away what killed processes left half written: it can be a key. */
  async sweep(): Promise<void> {
    await this.#state.sweep(this.#folder)
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

const parse = (text: string | undefined): OrderInProgress | undefined => {
  if (text === undefined) return undefined
  try {
    const order = JSON.parse(text) as OrderInProgress & { readonly url: string | null }
    return order.schema === 1 && Array.isArray(order.challenges) && Array.isArray(order.names)
      ? { ...order, url: order.url ?? undefined }
      : undefined
  } catch {
    return undefined
  }
}
