import type { Message } from '../alert-message.js'
import { jsonHeaders, type Receiver, refusedByStatus } from './receiver.js'

// What a program can be expected to take at once.
const most = 100

/** Anything that takes JSON; documented in docs/alerts.md. */
export const webhook: Receiver = {
  request: (message, { url }) => ({ url, headers: jsonHeaders, body: JSON.stringify(bodyOf(message)) }),
  refusal: refusedByStatus,
}

const bodyOf = ({ host, at, isTest, firing, recovered }: Message) => ({
  schema: 'acme-oss/1',
  event: isTest ? 'test' : 'alert',
  host,
  at: at.toISOString(),
  firing: firing.slice(0, most).map(({ id, kind, name, place, sentence, hint, isAgain }) => ({
    id,
    kind,
    name,
    place: place ?? null,
    sentence,
    hint: hint ?? null,
    again: isAgain,
  })),
  recovered: recovered.slice(0, most).map(({ id, kind, name, place, sentence, at: since }) => ({
    id,
    kind,
    name,
    place,
    sentence,
    told: since,
  })),
  more: { firing: Math.max(0, firing.length - most), recovered: Math.max(0, recovered.length - most) },
})
