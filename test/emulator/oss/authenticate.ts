import { createHash } from 'node:crypto'
import type { AccessKey, KeyRing } from '../access-key.js'
import { element } from '../xml.js'
import { type Claim, readClaim } from './claim.js'
import { freshDate } from './freshness.js'
import { invalidArgument, OssRefusal } from './refusal.js'
import { signatureV1, stringToSignV1 } from './signature-v1.js'
import { canonicalRequestV4, type Scope, signatureV4, stringToSignV4 } from './signature-v4.js'
import type { SignedRequest } from './signed-request.js'

/** Cloud boxes are regions of a product of their own. */
const productOf = (region: string): string => (region.startsWith('cb-') ? 'oss-cloudbox' : 'oss')

/** Both are refused before the signature is computed, with the vendor's own codes. */
const checkScope = ({ region, product }: Scope, expected: string | undefined): void => {
  if (expected !== undefined && region !== expected)
    throw invalidArgument('Invalid signing region in Authorization header.', 'Authorization', region, '0002-00000226')
  if (product !== productOf(region))
    throw invalidArgument('Invalid signing product in Authorization header.', 'Authorization', product, '0002-00000227')
}

const knownKey = (id: string, keys: KeyRing): AccessKey => {
  const key = keys.find(id)
  if (key !== undefined) return key
  throw new OssRefusal(
    403,
    'InvalidAccessKeyId',
    'The OSS Access Key Id you provided does not exist in our records.',
    '0002-00000902',
    [element('OSSAccessKeyId', id)],
  )
}

const checkToken = (token: string | undefined, key: AccessKey, keys: KeyRing): void => {
  if (key.expired)
    throw new OssRefusal(403, 'SecurityTokenExpired', 'The security token you provided has expired.', '0002-00000007')
  if (token === key.token) return
  if (token !== undefined && keys.knowsToken(token))
    throw new OssRefusal(
      403,
      'AccessKeyIdAndSecurityTokenNotMatch',
      'The access key id and the security token you provided do not match.',
      '0002-00000004',
    )
  throw new OssRefusal(403, 'InvalidSecurityToken', 'The security token you provided is invalid.', '0002-00000006')
}

interface Computed {
  readonly signature: string
  readonly stringToSign: string
  readonly canonicalRequest: string | undefined
}

/** A payload hash is optional in OSS, but where one is given it must be true. */
const payloadHash = (declared: string | undefined, body: Buffer): string => {
  const actual = createHash('sha256').update(body).digest('hex')
  if (declared === 'UNSIGNED-PAYLOAD' || declared === actual) return declared
  throw invalidArgument(
    'x-oss-content-sha256 is required and must be UNSIGNED-PAYLOAD or the hash of the body.',
    'x-oss-content-sha256',
    declared ?? '',
  )
}

const compute = (request: SignedRequest, body: Buffer, claim: Claim, secret: string, date: string): Computed => {
  if (claim.scheme === 'v1-header' || claim.scheme === 'v1-url') {
    const stringToSign = stringToSignV1(request, date)
    return { signature: signatureV1(secret, stringToSign), stringToSign, canonicalRequest: undefined }
  }
  const payload =
    claim.scheme === 'v4-url' ? 'UNSIGNED-PAYLOAD' : payloadHash(request.headers['x-oss-content-sha256'], body)
  const canonicalRequest = canonicalRequestV4(request, claim.additional, payload)
  // The scope's date and the timestamp's must agree; signing with the timestamp's makes a disagreement a mismatch.
  const scope = { ...claim.scope, date: date.slice(0, 8) }
  const stringToSign = stringToSignV4(date, scope, canonicalRequest)
  return { signature: signatureV4(secret, scope, stringToSign), stringToSign, canonicalRequest }
}

const hexBytes = (text: string): string =>
  [...Buffer.from(text)].map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(' ')

/**
 * Whose request it is; `undefined` for an anonymous one. `region` is what a version 4 scope must name, where the
 * endpoint or the bucket tells.
 */
export const authenticate = (
  request: SignedRequest,
  body: Buffer,
  region: string | undefined,
  keys: KeyRing,
  now: Date,
): AccessKey | undefined => {
  const claim = readClaim(request)
  if (claim === undefined) return undefined
  if ('scope' in claim) checkScope(claim.scope, region)
  const key = knownKey(claim.id, keys)
  const date = freshDate(request, claim, now)
  checkToken(claim.token, key, keys)
  const { signature, stringToSign, canonicalRequest } = compute(request, body, claim, key.secret, date)
  const scopeIsWhole = !('scope' in claim) || claim.scope.date === date.slice(0, 8)
  if (signature === claim.signature && scopeIsWhole) return key
  throw new OssRefusal(
    403,
    'SignatureDoesNotMatch',
    'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    '0002-00000040',
    [
      element('OSSAccessKeyId', claim.id),
      element('SignatureProvided', claim.signature),
      element('StringToSign', stringToSign),
      element('StringToSignBytes', hexBytes(stringToSign)),
      canonicalRequest === undefined ? undefined : element('CanonicalRequest', canonicalRequest),
    ],
  )
}
