import { interrupted } from '../patience.js'

/**
 * Keeps calls below a limit per second, across all that share it: `burst` at once, then one after another in the order
 * in which they came. In no second are there more than `burst + perSecond` of them, also where the process was held up:
 * what it missed is not made up for.
 */
export class Pace {
  readonly #interval: number
  readonly #burst: number
  readonly #waiting = new Set<() => void>()
  #timer: NodeJS.Timeout | undefined
  /** When the next call may go if there was no burst, in ms of `performance.now()`. */
  #next = 0

  constructor(perSecond: number, burst: number) {
    this.#interval = 1000 / perSecond
    this.#burst = burst
  }

  /** Waits until it is this call's turn. @throws CertError INTERRUPTED; then the turn is the next one's. */
  turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(interrupted())
      const go = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#waiting.delete(go)
        if (this.#waiting.size === 0) clearTimeout(this.#timer)
        reject(interrupted())
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.add(go)
      this.#admit()
    })
  }

  #admit(): void {
    clearTimeout(this.#timer)
    for (const go of this.#waiting) {
      const now = performance.now()
      const next = Math.max(this.#next, now) + this.#interval
      const wait = next - now - this.#burst * this.#interval
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#admit(), wait)
        return
      }
      this.#next = next
      this.#waiting.delete(go)
      go()
    }
  }
}
