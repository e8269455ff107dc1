import { isIP } from 'node:net'

/**
 * The name below `in-addr.arpa` or `ip6.arpa` that stands for an address, where only names may be said (RFC 8738, 6).
 * @param address as `canonicalName` spells it
 */
export const reverseName = (address: string): string =>
  isIP(address) === 4
    ? `${address.split('.').reverse().join('.')}.in-addr.arpa`
    : `${[...digitsOf(address)].reverse().join('.')}.ip6.arpa`

/** All 32 hexadecimal digits of an IPv6 address. */
const digitsOf = (address: string): string => {
  const [before = [], after = []] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''))
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return [...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join('')
}
