import type { CallsPerSecond } from './operation.js'
import { PopRefusal } from './refusal.js'

/** Flow control: no more calls of an operation within one second than are allowed. Refused ones do not count. */
export class RateLimit {
  readonly #admitted = new Map<string, number[]>()

  admit(operation: string, limit: CallsPerSecond, now: Date): void {
    const most = typeof limit === 'object' ? limit[operation] : limit
    if (most === undefined) return
    const recent = (this.#admitted.get(operation) ?? []).filter((time) => now.getTime() - time < 1000)
    this.#admitted.set(operation, recent)
    if (recent.length >= most)
      throw new PopRefusal(400, 'Throttling.User', 'Request was denied due to user flow control.')
    recent.push(now.getTime())
  }
}
