import { type Element, readChildren, readElement, tags } from './der.js'
import { readPem } from './pem.js'

const extensionsTag = 0xa3
const keyIdentifierTag = 0x80
// 2.5.29.35
const authorityKeyIdentifier = Buffer.from('551d23', 'hex')

/**
 * What a certificate is called where a CA is asked when to renew it, and in the order that replaces it (RFC 9773, 4.1).
 * Undefined where it does not say which key signed it.
 */
export const renewalId = (leafPem: string): string | undefined => {
  const [leaf] = readPem(leafPem, (label) => label === 'CERTIFICATE')
  if (leaf === undefined) return undefined
  const bytes = leaf.der
  const content = (element: Element | undefined) => bytes.subarray(element?.start ?? 0, element?.end ?? 0)
  const inside = (element: Element | undefined) => (element === undefined ? [] : readChildren(bytes, element))
  const [toBeSigned] = inside(readElement(bytes, 0))
  const fields = inside(toBeSigned)
  const serial = fields.find(({ tag }) => tag === tags.integer)
  const [extensions] = inside(fields.find(({ tag }) => tag === extensionsTag))
  const value = inside(extensions)
    .map(inside)
    .find(([oid]) => content(oid).equals(authorityKeyIdentifier))
    ?.find(({ tag }) => tag === tags.octetString)
  const [identifier] = inside(value)
  const key = inside(identifier).find(({ tag }) => tag === keyIdentifierTag)
  if (serial === undefined || key === undefined) return undefined
  return `${content(key).toString('base64url')}.${content(serial).toString('base64url')}`
}
