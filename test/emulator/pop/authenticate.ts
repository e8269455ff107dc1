import type { AccessKey, KeyRing } from '../access-key.js'
import type { WireRequest } from '../wire-request.js'
import { type Claim, sentParameters } from './claim.js'
import { PopRefusal } from './refusal.js'
import { canonicalRequestAcs3, sha256Hex, signatureAcs3, stringToSignAcs3 } from './signature-acs3.js'
import { signatureRpc, stringToSignRpc } from './signature-rpc.js'

const window = 15 * 60 * 1000

const incomplete = (lacking: string): PopRefusal =>
  new PopRefusal(400, 'IncompleteSignature', `The request signature does not conform to Aliyun standards: ${lacking}.`)

const alwaysSigned = [
  'host',
  'x-acs-action',
  'x-acs-version',
  'x-acs-date',
  'x-acs-signature-nonce',
  'x-acs-content-sha256',
]

const checkForm = (claim: Claim, { headers, parameters, form }: WireRequest): void => {
  if (claim.accessKeyId === undefined) throw incomplete('no access key id')
  if (claim.signature === undefined) throw incomplete('no signature')
  if (claim.nonce === undefined) throw incomplete('no nonce')
  if (claim.scheme === 'acs3') {
    const lacking = alwaysSigned.find((name) => !claim.signedHeaders.includes(name) || headers[name] === undefined)
    if (lacking !== undefined) throw incomplete(lacking)
    return
  }
  const value = (name: string) => [...parameters, ...form].find(([given]) => given === name)?.[1]
  if (value('SignatureMethod') !== 'HMAC-SHA1') throw incomplete('SignatureMethod')
  if (value('SignatureVersion') !== '1.0') throw incomplete('SignatureVersion')
}

const knownKey = (id: string | undefined, keys: KeyRing): AccessKey => {
  const key = keys.find(id ?? '')
  if (key !== undefined) return key
  throw new PopRefusal(404, 'InvalidAccessKeyId.NotFound', 'Specified access key is not found.')
}

const checkToken = (token: string | undefined, key: AccessKey, keys: KeyRing): void => {
  if (key.expired) throw new PopRefusal(400, 'InvalidSecurityToken.Expired', 'Specified SecurityToken is expired.')
  if (token === key.token) return
  if (token === undefined)
    throw new PopRefusal(400, 'MissingSecurityToken', 'SecurityToken is mandatory for this action.')
  if (keys.knowsToken(token))
    throw new PopRefusal(
      400,
      'InvalidSecurityToken.MismatchWithAccessKey',
      'Specified SecurityToken mismatch with the AccessKey.',
    )
  throw new PopRefusal(400, 'InvalidSecurityToken.Malformed', 'Specified SecurityToken is malformed.')
}

const checkTime = (timestamp: string | undefined, now: Date): void => {
  if (timestamp === undefined)
    throw new PopRefusal(400, 'IllegalTimestamp', 'The input parameter "Timestamp" that is mandatory is not supplied.')
  const time = new Date(timestamp).getTime()
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(timestamp) || Number.isNaN(time))
    throw new PopRefusal(400, 'InvalidTimeStamp.Format', 'Specified time stamp or date value is not well formatted.')
  if (Math.abs(time - now.getTime()) > window)
    throw new PopRefusal(400, 'InvalidTimeStamp.Expired', 'Specified time stamp or date value is expired.')
}

const stringToSign = (claim: Claim, request: WireRequest): string =>
  claim.scheme === 'acs3'
    ? stringToSignAcs3(canonicalRequestAcs3(request, claim.signedHeaders))
    : stringToSignRpc(request.method, sentParameters(request))

/** Nonces that were used, forever: no test runs long enough for them to be forgotten. */
export class Nonces {
  readonly #used = new Set<string>()

  /** Whether it is used for the first time. */
  use({ accessKeyId, nonce }: Claim): boolean {
    const entry = `${accessKeyId} ${nonce}`
    if (this.#used.has(entry)) return false
    this.#used.add(entry)
    return true
  }
}

/** Whose request it is. There are no anonymous ones. */
export const authenticate = (claim: Claim, request: WireRequest, keys: KeyRing, nonces: Nonces): AccessKey => {
  checkForm(claim, request)
  const key = knownKey(claim.accessKeyId, keys)
  checkTime(claim.timestamp, request.time)
  checkToken(claim.token, key, keys)
  const text = stringToSign(claim, request)
  const expected = claim.scheme === 'acs3' ? signatureAcs3(key.secret, text) : signatureRpc(key.secret, text)
  const isOfBody = claim.scheme === 'rpc' || request.headers['x-acs-content-sha256'] === sha256Hex(request.body)
  if (expected !== claim.signature || !isOfBody)
    throw new PopRefusal(
      400,
      'SignatureDoesNotMatch',
      `Specified signature is not matched with our calculation. server string to sign is:${text}`,
    )
  if (!nonces.use(claim)) throw new PopRefusal(400, 'SignatureNonceUsed', 'Specified signature nonce was used already.')
  return key
}
