import { CertError, systemCode } from '../errors.js'
import { interrupted, patiently, unlessAborted, withDeadline } from '../patience.js'
import { version } from '../version.js'
import type { CaAnswer, CaConnection } from './ca-connection.js'
import { explainProblem, explainSilence, parseJson } from './problem.js'
import { type Directory, readDirectory } from './protocol.js'

export interface ExchangeOptions {
  readonly directoryUrl: string
  /** How errors name the CA. */
  readonly ca: string
  readonly connection: CaConnection
  /** As it was found in an earlier run. */
  readonly directory: Directory | undefined
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly signal: AbortSignal
  readonly trace?: ((line: string) => void) | undefined
}

// In ms.
const longestLook = 20_000

/** Question and answer with one CA: what needs no account and no signature, and what every request has in common. */
export class CaExchange {
  readonly #options: ExchangeOptions
  #directory: Promise<Directory> | undefined
  /** What `#directory` came to. */
  #known: Directory | undefined

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.#known = options.directory
    this.#directory = options.directory && Promise.resolve(options.directory)
  }

  directory(): Promise<Directory> {
    this.#directory ??= this.#fetchDirectory()
    return this.#directory
  }

  /** What an earlier run kept of it no longer holds; it is fetched anew. */
  forgetDirectory(): void {
    this.#directory = undefined
  }

  /** One request, sent exactly once. @throws the system’s error, or the reason of the signal */
  async send(method: 'GET' | 'HEAD' | 'POST', url: string, isLook = true, body?: string): Promise<CaAnswer> {
    const { connection, signal, trace, timeout } = this.#options
    const start = performance.now()
    // What only looks is asked again, so one silent connection must not use up all the time there is.
    const limit = isLook ? Math.min(timeout, longestLook) : timeout
    const headers = {
      'user-agent': `acme-oss/${version}`,
      ...(body !== undefined && { 'content-type': 'application/jose+json' }),
    }
    const answer = await withDeadline(limit, signal, (both) =>
      connection.request({ method, url, headers, body, signal: both }),
    )
    trace?.(`${method} ${url} ${answer.status} in ${Math.round(performance.now() - start)} ms`)
    return answer
  }

  /** What needs no signature. @throws Refused */
  async get(url: string, method: 'GET' | 'HEAD' = 'GET'): Promise<CaAnswer> {
    const answer = await this.send(method, url)
    if (answer.status >= 400) throw new Refused(answer)
    return answer
  }

  /** Something that changes nothing at the CA, and so can be asked again. @param phrase as `doing` takes it */
  async looking<T>(phrase: string, ask: () => Promise<T>): Promise<T> {
    const { timeout, signal, trace } = this.#options
    return await patiently((attempt) => this.doing(phrase, () => unlessAborted(ask(), attempt)), {
      timeout,
      signal,
      onRetry: (error, pause) => trace?.(`${error.message}; trying again in ${Math.round(pause)} ms`),
    })
  }

  /**
   * Explains whatever goes wrong.
   * @param phrase a gerund: `placing an order for example.com`
   * @throws CertError
   */
  async doing<T>(phrase: string, act: () => Promise<T>): Promise<T> {
    const { ca, signal } = this.#options
    try {
      return await act()
    } catch (error) {
      if (signal.aborted) throw interrupted()
      if (error instanceof CertError) throw error
      if (error instanceof Refused) throw explainProblem(error.answer, phrase, ca, this.#known?.meta?.profiles)
      if (error instanceof Unanswered) throw explainSilence(error.cause, phrase, ca)
      if (error instanceof Error && systemCode(error) === undefined && error.name === 'Error') {
        // What acme-client throws of an answer that it did not expect.
        throw this.nonsense(phrase, 'an answer that is none')
      }
      throw explainSilence(error, phrase, ca)
    }
  }

  nonsense(phrase: string, what: string): CertError {
    return new CertError('CA_REFUSED', `${phrase}: ${this.#options.ca} gave ${what}`, {
      hint: 'check --ca: does it speak ACME (RFC 8555)?',
    })
  }

  async #fetchDirectory(): Promise<Directory> {
    const { directoryUrl } = this.#options
    const phrase = `reading the directory ${directoryUrl}`
    const answer = await this.looking(phrase, () => this.get(directoryUrl))
    this.#known = readDirectory(parseJson(answer.body))
    if (this.#known !== undefined) return this.#known
    throw new CertError('CA_REFUSED', `${phrase}: that is not an ACME directory`, {
      hint: 'check --ca: it takes the URL of the directory, such as https://acme-v02.api.letsencrypt.org/directory',
    })
  }
}

/** An answer that says no; explained where it is known what was asked. */
export class Refused extends Error {
  readonly answer: CaAnswer

  constructor(answer: CaAnswer) {
    super(`HTTP ${answer.status}`)
    this.answer = answer
  }
}

/** A signed request to which nothing came back. */
export class Unanswered extends Error {
  constructor(cause: unknown) {
    super('no answer', { cause })
  }
}
