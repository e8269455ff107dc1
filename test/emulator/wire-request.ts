import type { IncomingMessage } from 'node:http'
import { type Parameter, parseParameters } from './percent-encoding.js'

/** A request as it came over the wire, whole, before anybody has judged it. */
export interface WireRequest {
  readonly time: Date
  /** Whether it came over TLS. */
  readonly secure: boolean
  readonly method: string
  /** The `Host` header in lower case, with its port. */
  readonly host: string
  /** Path and query as they came over the wire. */
  readonly target: string
  /** Still percent-encoded. */
  readonly path: string
  /** Those of the query. */
  readonly parameters: readonly Parameter[]
  /** Those of a form body. */
  readonly form: readonly Parameter[]
  /** The parameters by name; of repeated ones the last. */
  readonly query: Readonly<Record<string, string>>
  /** By lower-case name; repeated ones joined by a comma. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Node reads header bytes as Latin-1; what clients send, and sign, is UTF-8. */
const utf8 = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8')

/** Node's own `headers` drops repeats and joins with a blank, which no signature would survive. */
const collectHeaders = (raw: readonly string[]): Record<string, string> => {
  const headers: Record<string, string> = Object.create(null)
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] ?? '').toLowerCase()
    const value = utf8(raw[i + 1] ?? '').trim()
    const before = headers[name]
    headers[name] = before === undefined ? value : `${before},${value}`
  }
  return headers
}

const readBody = async (incoming: IncomingMessage): Promise<Buffer | undefined> => {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of incoming) chunks.push(chunk)
  } catch {
    return undefined
  }
  return incoming.complete ? Buffer.concat(chunks) : undefined
}

/** `undefined` when the client went away before its body was complete. */
export const readRequest = async (incoming: IncomingMessage, time: Date): Promise<WireRequest | undefined> => {
  const body = await readBody(incoming)
  if (body === undefined) return undefined
  const target = incoming.url ?? '/'
  const mark = target.indexOf('?')
  const parameters = parseParameters(mark < 0 ? '' : target.slice(mark + 1))
  const headers = collectHeaders(incoming.rawHeaders)
  const { host = '', 'content-type': contentType = '' } = headers
  const isForm = /^application\/x-www-form-urlencoded\b/i.test(contentType)
  return {
    time,
    secure: 'encrypted' in incoming.socket,
    method: incoming.method ?? 'GET',
    host: host.toLowerCase(),
    target,
    path: mark < 0 ? target : target.slice(0, mark),
    parameters,
    form: isForm ? parseParameters(body.toString('utf8')) : [],
    query: Object.assign(Object.create(null), Object.fromEntries(parameters)),
    headers,
    body,
  }
}
