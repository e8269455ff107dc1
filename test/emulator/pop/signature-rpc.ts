import { createHmac } from 'node:crypto'
import { type Parameter, percentEncode } from '../percent-encoding.js'

const bytewise = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Over the parameters of query and form body alike, wherever each stood. */
export const stringToSignRpc = (method: string, parameters: readonly Parameter[]): string => {
  const canonical = parameters
    .filter(([name]) => name !== 'Signature')
    .map(([name, value]) => [percentEncode(name), percentEncode(value)] as const)
    .toSorted(([a], [b]) => bytewise(a, b))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
  return `${method}&%2F&${percentEncode(canonical)}`
}

export const signatureRpc = (secret: string, stringToSign: string): string =>
  createHmac('sha1', `${secret}&`).update(stringToSign).digest('base64')
