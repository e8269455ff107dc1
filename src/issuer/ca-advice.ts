import { CertError, toCertError } from '../errors.js'
import { AccountStore } from './account.js'
import { CaConnection } from './ca-connection.js'
import { CaExchange } from './ca-exchange.js'
import type { CaAccess, CaSessionsOptions } from './ca-sessions.js'
import type { Directory } from './protocol.js'
import { askRenewalInfo, type RenewalInfo } from './renewal-info.js'

/** What a CA says of when to renew; why it says nothing, where it does not. */
export type Advice = RenewalInfo | { readonly silent: string; readonly retryAfter: number | undefined }

const day = 24 * 60 * 60 * 1000
const hour = 60 * 60 * 1000

// How long one question may take, in ms: it is advice, and others wait.
const longestQuestion = 10_000

/** A CA that can be asked. */
interface Asked {
  readonly exchange: CaExchange
  /** Fetches its directory anew where it came from an earlier run, once. @returns whether it tells another place to ask */
  moved(): Promise<boolean>
}

/** Asks CAs when certificates are to be renewed (RFC 9773). That takes no account; a connection is shared by all. */
export class CaAdvice {
  readonly #options: CaSessionsOptions
  readonly #known = new Map<string, Promise<Asked>>()
  /** Those that did not answer, and how. */
  readonly #silent = new Map<string, string>()
  readonly #connections: CaConnection[] = []

  constructor(options: CaSessionsOptions) {
    this.#options = { ...options, timeout: Math.min(options.timeout, longestQuestion) }
  }

  /** Never fails: renewing does not hang on it. @param renewalId see `renewalId` */
  async ask(access: CaAccess, renewalId: string): Promise<Advice> {
    const { trace, timeout } = this.#options
    const { directory, name } = access.ca
    const silent = this.#silent.get(directory)
    if (silent !== undefined) return { silent, retryAfter: hour }
    try {
      const { exchange, moved } = await this.#meet(access)
      const question = async (): Promise<Advice> => {
        const { renewalInfo } = await exchange.directory()
        if (renewalInfo === undefined) return { silent: `${name} gives no advice`, retryAfter: day }
        return await askRenewalInfo(exchange, renewalId)
      }
      return await question().catch(async (error: unknown) => {
        if (isRefusal(error) && (await moved())) return await question()
        throw error
      })
    } catch (thrown) {
      const error = toCertError(thrown)
      trace(`${error.message}; asked within ${timeout} ms`)
      // An answer, were it an error, comes at once; no answer would be waited for by each certificate.
      if (isSilence(error)) this.#silent.set(directory, error.message)
      return { silent: error.message, retryAfter: error.retryAfter ?? hour }
    }
  }

  #meet(access: CaAccess): Promise<Asked> {
    const { directory } = access.ca
    const known = this.#known.get(directory)
    if (known !== undefined) return known
    const opening = this.#open(access)
    this.#known.set(directory, opening)
    return opening
  }

  async #open({ ca, caBundle, email }: CaAccess): Promise<Asked> {
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
    const current = async (): Promise<Directory> => {
      const fetched = await exchange.directory()
      if (fetched !== directory) await accounts.keepDirectory(fetched, now())
      return fetched
    }
    await current()
    const lookAgain = async (): Promise<boolean> => {
      exchange.forgetDirectory()
      return (await current()).renewalInfo !== directory?.renewalInfo
    }
    let looking: Promise<boolean> | undefined
    const moved = async (): Promise<boolean> => {
      if (directory === undefined) return false
      looking ??= lookAgain()
      return await looking
    }
    return { exchange, moved }
  }

  close(): void {
    for (const connection of this.#connections) connection.close()
  }
}

/** Nothing came back: an answer that says no has a code of the CA's. */
const isSilence = ({ code, vendor }: CertError): boolean => code === 'CA_UNAVAILABLE' && vendor === undefined

/** There may be nothing any more at the place where it was asked. */
const isRefusal = (error: unknown): boolean =>
  error instanceof CertError && error.code === 'CA_REFUSED' && error.vendor !== undefined
