import type { Message } from '../alert-message.js'

/** Where a receiver is reached. */
export interface Address {
  readonly url: string
  /** What messages are signed with, where the receiver asks for it. */
  readonly secret: string | undefined
}

export interface Outgoing {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Answer {
  readonly status: number
  readonly body: string
}

/** Why a message was not taken. */
export interface Refusal {
  readonly code: string
  /** One sentence of it, no capital, no full stop. */
  readonly message: string
  readonly hint: string | undefined
  /** May the same message be taken a moment later? */
  readonly passing: boolean
}

/** A kind of receiver: how a message is put to it, and what its answers mean. */
export interface Receiver {
  request(message: Message, address: Address, now: Date): Outgoing
  /** Undefined where the message was taken. */
  refusal(answer: Answer): Refusal | undefined
}

/** What an answer's status alone says. */
export const refusedByStatus = ({ status }: Answer): Refusal | undefined => {
  if (status >= 200 && status < 300) return undefined
  const hints: Readonly<Record<number, string>> = {
    401: 'is the token in its URL right?',
    403: 'is the token in its URL right?',
    404: 'is its URL right?',
    410: 'is its URL right?',
  }
  return {
    code: `${status}`,
    message: `it answered with status ${status}`,
    hint: hints[status] ?? (status < 400 ? 'give the URL that it leads to' : undefined),
    passing: status === 429 || status >= 500,
  }
}

export interface Codes {
  /** Fields that may hold the code, and the one that says it in words. */
  readonly code: readonly string[]
  readonly words: string
  readonly hints: Readonly<Record<string, string>>
  readonly passing: readonly string[]
}

/** What an answer with status 200 says in a field of its own. */
export const refusedByCode = (answer: Answer, { code: fields, words, hints, passing }: Codes): Refusal | undefined => {
  const byStatus = refusedByStatus(answer)
  const fieldsOf = fieldsIn(answer.body)
  const code = fields.map((field) => fieldsOf[field]).find((value) => value !== undefined)
  if (byStatus !== undefined && (code === undefined || `${code}` === '0')) return byStatus
  if (`${code}` === '0') return undefined
  if (code === undefined) {
    return { code: 'unknown', message: 'it answered with something else', hint: 'is its URL right?', passing: false }
  }
  const said = typeof fieldsOf[words] === 'string' ? `: ${shortened(fieldsOf[words])}` : ''
  return {
    code: `${code}`.slice(0, 20),
    message: `it refused with ${`${code}`.slice(0, 20)}${said}`,
    hint: hints[`${code}`],
    passing: passing.includes(`${code}`),
  }
}

const fieldsIn = (body: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
  } catch {
    return {}
  }
}

/** The other side's words, as far as a line goes. */
export const shortened = (text: string): string =>
  text
    .replace(/[\p{Cc}\p{Cf}]+/gu, ' ')
    .trim()
    .slice(0, 200)

export const jsonHeaders = { 'content-type': 'application/json; charset=utf-8' }
