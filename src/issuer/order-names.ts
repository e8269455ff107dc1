import { isIP } from 'node:net'
import { canonicalName, isWildcard } from '../certificate/names.js'
import { CertError } from '../errors.js'
import type { Identifier } from './protocol.js'

/**
 * The names of a certificate that is to be ordered, as CAs take them.
 * @throws CertError NAME_INVALID, USAGE
 */
export const orderNames = (domains: readonly string[]): string[] => {
  if (domains.length === 0) {
    throw new CertError('USAGE', 'no name is given to issue a certificate for', { hint: 'add -d example.com' })
  }
  const names = domains.map((domain) => {
    const name = canonicalName(domain.trim())
    const labels = name?.split('.') ?? []
    const isPublic =
      isIP(name ?? '') !== 0 || (labels.length >= (isWildcard(name ?? '') ? 3 : 2) && !name?.includes('_'))
    if (name === undefined || !isPublic) {
      throw new CertError('NAME_INVALID', `"${domain}" is not a name that a certificate can be issued for`, {
        hint: 'give full host names such as www.example.com, without https:// and without a path; a wildcard has its star in front: *.example.com',
      })
    }
    return name
  })
  return [...new Set(names)]
}

export const toIdentifier = (name: string): Identifier => ({ type: isIP(name) === 0 ? 'dns' : 'ip', value: name })

/** Is DNS the only way to prove these names? No CA proves a wildcard otherwise. */
export const needsDns = (names: readonly string[]): boolean => names.some(isWildcard)
