import { toCertError } from '../errors.js'
import type { StateFolder } from '../state/state-folder.js'
import { AccountStore } from './account.js'
import { CaConnection } from './ca-connection.js'
import { CaExchange } from './ca-exchange.js'
import type { CaAccess } from './ca-sessions.js'
import { askRenewalInfo, type RenewalInfo } from './renewal-info.js'

export interface CaAdviceOptions {
  readonly state: StateFolder
  /** Deadline of one request, in ms. */
  readonly timeout: number
  readonly now: () => Date
  readonly signal: AbortSignal
  readonly trace: (line: string) => void
}

/** What a CA says of when to renew; why it says nothing, where it does not. */
export type Advice = RenewalInfo | { readonly silent: string; readonly retryAfter: number | undefined }

const day = 24 * 60 * 60 * 1000
const hour = 60 * 60 * 1000

/** Asks CAs when certificates are to be renewed (RFC 9773). That takes no account; a connection is shared by all. */
export class CaAdvice {
  readonly #options: CaAdviceOptions
  readonly #known = new Map<string, Promise<CaExchange>>()
  readonly #connections: CaConnection[] = []

  constructor(options: CaAdviceOptions) {
    this.#options = options
  }

  /** Never fails: renewing does not hang on it. @param renewalId see `renewalId` */
  async ask(access: CaAccess, renewalId: string): Promise<Advice> {
    const { trace, timeout } = this.#options
    try {
      const exchange = await this.#exchange(access)
      const { renewalInfo } = await exchange.directory()
      if (renewalInfo === undefined) return { silent: `${access.ca.name} gives no advice`, retryAfter: day }
      return await askRenewalInfo(exchange, renewalId)
    } catch (thrown) {
      const { message, retryAfter } = toCertError(thrown)
      trace(`${message}; asked within ${timeout} ms`)
      return { silent: message, retryAfter: retryAfter ?? hour }
    }
  }

  #exchange(access: CaAccess): Promise<CaExchange> {
    const { directory } = access.ca
    const known = this.#known.get(directory)
    if (known !== undefined) return known
    const opening = this.#open(access)
    this.#known.set(directory, opening)
    return opening
  }

  async #open({ ca, caBundle, email }: CaAccess): Promise<CaExchange> {
    const { state, now } = this.#options
    const connection = new CaConnection(caBundle)
    this.#connections.push(connection)
    const accounts = await AccountStore.open(state, ca, email)
    const directory = await accounts.readDirectory(now())
    const exchange = new CaExchange({
      ...this.#options,
      directoryUrl: ca.directory,
      ca: ca.name,
      connection,
      directory,
    })
    const current = await exchange.directory()
    if (current !== directory) await accounts.keepDirectory(current, now())
    return exchange
  }

  close(): void {
    for (const connection of this.#connections) connection.close()
  }
}
