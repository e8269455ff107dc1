import { servedName } from '../aliyun/edge-host.js'
import { covers } from '../certificate/names.js'
import { CertError } from '../errors.js'
import type { HttpsPlace } from '../https/https-place.js'
import { type HostProof, type LookOptions, lookAt } from '../proof/look.js'

/** A certificate that a CA looks at names by plain HTTP for. */
export interface ProvenByHttp {
  readonly name: string
  readonly names: readonly string[]
  /** The bucket that the answers are put into, where that is how it is done. */
  readonly bucket: string | undefined
}

export interface InterlockOptions {
  readonly looking: Omit<LookOptions, 'expectation'>
  readonly provenByHttp: readonly ProvenByHttp[]
  /** Did we deploy a certificate of this fingerprint? Then a private root is no fault. */
  readonly isOurs: (sha256: string) => Promise<boolean>
}

/**
 * Whatever is forced to HTTPS has to answer by it, with a certificate that browsers take; and nobody may need plain HTTP.
 * @returns what a person should know
 * @throws CertError NOT_SERVED, HTTP_NEEDED
 */
export const requireSafe = async (
  place: HttpsPlace,
  { looking, provenByHttp, isOurs }: InterlockOptions,
): Promise<string[]> => {
  const hosts = await place.hosts(looking.signal)
  const needed = provenByHttp.filter((one) => needsPlace(one, place, hosts))
  // A CA follows a redirect, and does not care for the certificate behind it (RFC 8555, 8.3); a refusal ends its look.
  if (place.kind === 'oss' && needed.length > 0) throw httpNeeded(place, needed)
  const proofs = await Promise.all(hosts.map((host) => lookAt(host, looking)))
  const warnings: string[] = []
  for (const proof of proofs) {
    if (proof.served) continue
    const sha256 = proof.addresses.find(({ certificate }) => certificate !== null)?.certificate?.sha256
    if (proof.problem?.kind === 'untrusted' && sha256 !== undefined && (await isOurs(sha256))) {
      warnings.push(`${proof.host} serves the certificate that was deployed, from a CA that browsers do not know`)
      continue
    }
    throw notServed(place, proof)
  }
  const redirected = needed.map(
    ({ name }) =>
      `${name} is proven by plain HTTP (http-01) through ${place.name}: the CA follows the redirect, and fails where HTTPS does not answer; dns-01 does without`,
  )
  return [...warnings, ...redirected]
}

const needsPlace = (
  { names, bucket }: ProvenByHttp,
  { kind, settings }: HttpsPlace,
  hosts: readonly string[],
): boolean => {
  if (kind === 'oss')
    return (bucket !== undefined && bucket === settings['bucket']) || hosts.some((host) => names.includes(host))
  const domain = servedName(String(settings['domain']))
  return names.some((name) => covers([domain], name))
}

const httpNeeded = ({ name }: HttpsPlace, needed: readonly ProvenByHttp[]): CertError =>
  new CertError(
    'HTTP_NEEDED',
    `${name} has to answer by plain HTTP: ${needed.map((one) => one.name).join(', ')} ${needed.length === 1 ? 'is' : 'are'} renewed by http-01, and the CA would be refused there`,
    {
      hint: 'prove the names by DNS instead (challenge: dns-01, solver: alidns), then enforce again; --no-check enforces all the same, and the renewal fails',
    },
  )

const notServed = ({ name }: HttpsPlace, { host, problem }: HostProof): CertError =>
  new CertError('NOT_SERVED', `${name} is left as it is: ${host}: ${problem?.sentence ?? 'not served'}`, {
    hint: `${problem?.hint ?? 'acme-oss verify explains it'}; acme-oss verify ${host} says when it is mended (--no-check enforces all the same, and locks visitors out)`,
  })
