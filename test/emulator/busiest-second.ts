import type { RecordedRequest } from './journal.js'
import { wildcard } from './wildcard.js'

/** The most requests for an action, which may have wildcards in it, that fell into one second, wherever that second began. */
export const busiestSecond = (requests: readonly RecordedRequest[], action: string): number => {
  const times = requests
    .filter((request) => wildcard(action, request.action ?? ''))
    .map(({ time }) => time.getTime())
    .toSorted((a, b) => a - b)
  let most = 0
  let first = 0
  times.forEach((time, i) => {
    while (time - (times[first] ?? time) >= 1000) first += 1
    most = Math.max(most, i - first + 1)
  })
  return most
}
