import { X509Certificate } from 'node:crypto'
import { toCertError } from '../errors.js'
import type { AcmeSession } from './acme-session.js'

const certificateBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/**
 * The certificate with the chain that was asked for, where the CA has several (RFC 8555, 7.4.2): the one that leads to
 * a root of that common name. Where there is none, the CA's own choice.
 */
export const chosenChain = async (
  session: AcmeSession,
  url: string,
  preferred: string | undefined,
  observer: { warning(what: string): void },
): Promise<string> => {
  const { pem, alternates } = await session.certificate(url)
  if (preferred === undefined || rootOf(pem) === preferred) return pem
  const roots = [rootOf(pem)]
  for (const alternate of alternates) {
    const other = await session.alternate(alternate).catch((error: unknown) => {
      // What was issued is not given up for want of another chain.
      if (toCertError(error).passing) throw error
      observer.warning(`a chain could not be had: ${toCertError(error).message}`)
      return ''
    })
    if (other === '') continue
    if (rootOf(other) === preferred) return other
    roots.push(rootOf(other))
  }
  observer.warning(`no chain leads to ${preferred}, so the CA's own choice is taken; there are: ${roots.join(', ')}`)
  return pem
}

/** The common name of whoever issued the top of the chain. */
const rootOf = (pem: string): string => {
  const top = pem.match(certificateBlock)?.at(-1)
  try {
    return top === undefined ? '' : (/^CN=(.+)$/m.exec(new X509Certificate(top).issuer)?.[1] ?? '')
  } catch {
    return ''
  }
}
