import { createPublicKey, type KeyObject, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'

/**
 * What it takes to make something that is signed with `key`, for `names`. The one door to @peculiar/x509, loaded only
 * when a certificate is issued.
 * @param key RSA, EC P-256, P-384 or P-521
 * @param names as `canonicalName` spells them
 */
export const x509Builder = async (key: KeyObject, names: readonly string[]) => {
  // Its dependency injection wants this to be there first.
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const signingAlgorithm = algorithmOf(key)
  const privateDer = key.export({ type: 'pkcs8', format: 'der' })
  const publicDer = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const [privateKey, publicKey] = await Promise.all([
    webcrypto.subtle.importKey('pkcs8', privateDer, signingAlgorithm, false, ['sign']),
    webcrypto.subtle.importKey('spki', publicDer, signingAlgorithm, true, ['verify']),
  ])
  const alternativeNames = new x509.SubjectAlternativeNameExtension(
    names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
  )
  return { x509, keys: { privateKey, publicKey }, signingAlgorithm, alternativeNames }
}

/** Each key signs with the hash of its own strength. */
const algorithmOf = (key: KeyObject) => {
  const curve = (
    { prime256v1: ['P-256', 'SHA-256'], secp384r1: ['P-384', 'SHA-384'], secp521r1: ['P-521', 'SHA-512'] } as const
  )[key.asymmetricKeyDetails?.namedCurve ?? '']
  return curve === undefined
    ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
    : { name: 'ECDSA', namedCurve: curve[0], hash: curve[1] }
}
