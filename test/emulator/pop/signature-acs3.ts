import { createHash, createHmac } from 'node:crypto'
import { type Parameter, percentEncode } from '../percent-encoding.js'

/** What a version 3 signature is computed over. The headers are by lower-case name. */
export interface Acs3Request {
  readonly method: string
  readonly path: string
  readonly parameters: readonly Parameter[]
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Buffer
}

const bytewise = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

export const sha256Hex = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')

/** Only the query counts; a form body is covered by its hash. */
export const canonicalRequestAcs3 = (request: Acs3Request, signedHeaders: readonly string[]): string => {
  const names = [...signedHeaders].toSorted(bytewise)
  return [
    request.method,
    request.path,
    request.parameters
      .map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`)
      .toSorted(bytewise)
      .join('&'),
    names.map((name) => `${name}:${request.headers[name] ?? ''}\n`).join(''),
    names.join(';'),
    sha256Hex(request.body),
  ].join('\n')
}

export const stringToSignAcs3 = (canonicalRequest: string): string => `ACS3-HMAC-SHA256\n${sha256Hex(canonicalRequest)}`

export const signatureAcs3 = (secret: string, stringToSign: string): string =>
  createHmac('sha256', secret).update(stringToSign).digest('hex')
