import { setTimeout as sleep } from 'node:timers/promises'
import { CertError } from '../errors.js'
import { interrupted } from '../patience.js'
import { type HostProof, type LookOptions, lookAt } from './look.js'

export interface WaitOptions extends LookOptions {
  /** In ms; 0 is one look. */
  readonly limit: number
  /** Told after each look. */
  readonly onLook?: ((proof: HostProof, elapsed: number) => void) | undefined
  /** Ends the wait for what is not served, where that is as good. */
  readonly isEnough?: ((proof: HostProof) => boolean) | undefined
}

const firstPause = 500
const longestPause = 15_000

/**
 * Looks at `host` until it is served everywhere. What waiting alone seems not to mend is waited for as well: DNS and
 * binding a domain take their time, and look no different meanwhile.
 * @throws CertError NOT_SERVED at the limit, or INTERRUPTED
 */
export const waitUntilServed = async (host: string, options: WaitOptions): Promise<HostProof> => {
  const { limit, onLook, isEnough, signal } = options
  const start = performance.now()
  for (let pause = firstPause; ; pause = Math.min(longestPause, pause * 2)) {
    const proof = await lookAt(host, options)
    const elapsed = performance.now() - start
    onLook?.(proof, elapsed)
    if (proof.served || isEnough?.(proof)) return proof
    if (elapsed >= limit) throw notServed(proof)
    // The last look is at the limit itself.
    await sleep(Math.min(pause, limit - elapsed), undefined, { signal }).catch(() => {
      throw interrupted()
    })
  }
}

const notServed = ({ host, port, addresses, problem }: HostProof): CertError => {
  const at = addresses.find(({ verdict }) => !verdict.served && verdict.problem === problem)
  const where = at === undefined ? `${host}:${port}` : `${host} at ${placeOf(at)}`
  const browser = problem?.browser === undefined ? '' : ` (browsers show ${problem.browser})`
  return new CertError('NOT_SERVED', `${where}: ${problem?.sentence ?? 'it is not served'}${browser}`, {
    passing: true,
    hint: problem === undefined ? undefined : `${problem.cause}: ${problem.hint}`,
  })
}

/** As one writes it: an IPv6 address stands in brackets. */
export const placeOf = ({ address, port }: { readonly address: string; readonly port: number }): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
