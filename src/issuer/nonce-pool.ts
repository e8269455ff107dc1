/** Asks the CA for one nonce, and again while it is only busy. */
export type FetchNonce = () => Promise<string>

interface Waiter {
  readonly resolve: (nonce: string) => void
  readonly reject: (error: unknown) => void
}

// Let's Encrypt answers 20 of these requests a second and address, in bursts of 10, and refuses the rest. Every other
// answer brings a nonce of its own, so that more are hardly ever needed.
const burst = 10
const perSecond = 20
const mostKept = 64
// CAs forget nonces, in ms; a stale one costs a round trip more than asking for a new one.
const longestKept = 5 * 60_000

/**
 * The nonces of one CA (RFC 8555, 6.5): fed by every answer, so that requests can go out side by side without asking
 * for a nonce before each.
 */
export class NoncePool {
  readonly #fetch: FetchNonce
  readonly #kept: { readonly nonce: string; readonly at: number }[] = []
  readonly #waiters: Waiter[] = []
  #fetching = 0
  #tokens = burst
  #refilled = performance.now()
  #timer: NodeJS.Timeout | undefined

  constructor(fetch: FetchNonce) {
    this.#fetch = fetch
  }

  /** Takes in the nonce of an answer: for whoever waits longest, else for later. */
  give(nonce: string): void {
    const waiter = this.#waiters.shift()
    if (waiter !== undefined) {
      waiter.resolve(nonce)
      return
    }
    this.#kept.push({ nonce, at: performance.now() })
    if (this.#kept.length > mostKept) this.#kept.shift()
  }

  /** A nonce that nobody else has been given; asks the CA for one only where no answer brings one first. */
  take(): Promise<string> {
    for (let kept = this.#kept.pop(); kept !== undefined; kept = this.#kept.pop()) {
      if (performance.now() - kept.at < longestKept) return Promise.resolve(kept.nonce)
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#ask()
    })
  }

  /** Gets `count` nonces ready, as far as the CA's limits let it, while there is something else to wait for. */
  prepare(count: number): void {
    for (let missing = count - this.#kept.length - this.#fetching; missing > 0 && this.#spend(); missing--)
      this.#request()
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #ask(): void {
    while (this.#fetching < this.#waiters.length && this.#spend()) this.#request()
    if (this.#fetching < this.#waiters.length) {
      // The next token is due within 1/20 s; often an answer brings a nonce before.
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined
        this.#ask()
      }, 1000 / perSecond)
    }
  }

  #spend(): boolean {
    const now = performance.now()
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#refilled) / 1000) * perSecond)
    this.#refilled = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  #request(): void {
    this.#fetching++
    this.#fetch()
      .finally(() => {
        this.#fetching--
      })
      .then(
        (nonce) => this.give(nonce),
        // Only one waiter learns of it: the others may well be served by the answers still on their way.
        (error: unknown) => this.#waiters.shift()?.reject(error),
      )
  }
}
