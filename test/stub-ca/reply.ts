// What a CA is asked for, and what it answers.

export const kinds = [
  'directory',
  'newNonce',
  'newAccount',
  'account',
  'keyChange',
  'newOrder',
  'authorization',
  'challenge',
  'order',
  'finalize',
  'certificate',
  'revokeCert',
  'renewalInfo',
] as const

export type Kind = (typeof kinds)[number]

export interface CaReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** An object is sent as JSON. */
  readonly body?: string | object
}

/** Instead of what was asked for: an answer, the end of the connection before or after it was done, or nothing ever. */
export type CaFault = CaReply | 'kill' | 'kill-after' | 'hang'

/** A number is of seconds, a date is sent as an HTTP date, and a string as it is. */
export type RetryAfter = number | Date | string

/** The URL of something that the CA has. */
export type UrlOf = (kind: Kind, ...rest: readonly (string | number)[]) => string

const urn = 'urn:ietf:params:acme:error:'

export const problem = (status: number, type: string, detail: string, more: object = {}): CaReply => ({
  status,
  headers: { 'content-type': 'application/problem+json' },
  body: { type: `${urn}${type}`, detail, status, ...more },
})

export const withRetryAfter = (reply: CaReply, after: RetryAfter | undefined): CaReply => {
  if (after === undefined) return reply
  const value = after instanceof Date ? after.toUTCString() : String(after)
  return { ...reply, headers: { ...reply.headers, 'retry-after': value } }
}
