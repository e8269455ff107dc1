import type { BoundDomain } from '../../aliyun/bound-domains.js'
import { type EdgeProduct, isGone } from '../../aliyun/edge-domains.js'
import { boundDomains, dnsZones } from '../../aliyun/products.js'
import { auto } from '../../targets/auto.js'
import { bucketsOf } from '../bucket-place.js'
import { type Check, failed, failedBy, type Outcome, ok, unknown, unknownBy, warning } from '../check.js'
import { isRefusal } from '../refused.js'
import { edgesOf, type Situation, targetsOf, textIn, type WantedTarget } from '../situation.js'

/** Whether the domains that targets name are there, and whether the zones of what is proven by AliDNS are. */
export const domainChecks = (situation: Situation): readonly Check[] => {
  const checks = new Map<string, Check>()
  for (const one of targetsOf(situation)) {
    const check = checkOf(one, situation)
    if (check !== undefined) checks.set(check.id, check)
  }
  for (const { solver, domains } of situation.deployments) {
    if (solver?.solver !== 'alidns') continue
    for (const name of new Set(domains.map((domain) => domain.replace(/^\*\./, '')))) {
      const check = zoneCheck(name, solver.alidnsEndpoint, situation)
      checks.set(check.id, check)
    }
  }
  return [...checks.values()]
}

const checkOf = ({ kind, settings }: WantedTarget, situation: Situation): Check | undefined => {
  const domain = textIn(settings, 'domain')
  if (domain === undefined || domain === auto) return undefined
  const about = { about: 'domains', reaches: true } as const
  if (kind === 'cdn' || kind === 'dcdn') {
    const name = domain.replace(/^\*/, '')
    return {
      ...about,
      id: `domain ${kind} ${name}`,
      what: `the ${kind.toUpperCase()} domain ${name}`,
      run: (signal) => edgeOutcome(kind, name, situation, signal),
    }
  }
  const place = bucketsOf(situation).find(({ bucket }) => bucket === textIn(settings, 'bucket'))
  if (kind !== 'oss-cname' || place === undefined) return undefined
  const { bucket, bucketEndpoint } = place
  return {
    ...about,
    id: `domain ${bucket}/${domain}`,
    what: `the domain ${domain} of ${bucket}`,
    run: async (signal) => {
      const domains = boundDomains({ ...situation.context, bucket, endpoint: bucketEndpoint, bucketEndpoint })
      const look = await domains.list(signal)
      if (look.status !== 'found') return unknown(`the domains of ${bucket} may not be listed (oss:ListCname)`)
      return boundOutcome(bucket, domain, look.value)
    },
  }
}

export const boundOutcome = (bucket: string, domain: string, all: readonly BoundDomain[]): Outcome => {
  const found = all.find((one) => one.domain === domain.toLowerCase())
  if (found === undefined) {
    return warning(
      `${domain} is not bound to ${bucket} yet`,
      'the first deployment binds it, and says which TXT record has to prove that it is yours',
    )
  }
  if (!found.isEnabled) return failed(`${domain} is disabled in ${bucket}`, 'enable it in the OSS console')
  const until = found.certificate?.notAfter?.toISOString().slice(0, 10)
  return ok(
    found.certificate === undefined
      ? `${domain} is bound to ${bucket}, without a certificate yet`
      : `${domain} is bound to ${bucket}, with a certificate${until === undefined ? '' : ` until ${until}`}`,
  )
}

const edgeOutcome = async (
  product: EdgeProduct,
  domain: string,
  situation: Situation,
  signal: AbortSignal,
): Promise<Outcome> => {
  const look = (of: EdgeProduct) => edgesOf(situation, of).domains.certificate(domain, signal)
  const name = product.toUpperCase()
  try {
    const found = await look(product)
    if (found === undefined) return unknown(`the ${name} domain ${domain} may not be looked at`)
    return ok(
      found.https
        ? `${domain} is a ${name} domain with HTTPS`
        : `${domain} is a ${name} domain, whose HTTPS is off until it is given a certificate`,
    )
  } catch (error) {
    if (!isGone(error)) return unknownBy(error, `the ${name} domain ${domain}`)
    const other = product === 'cdn' ? 'dcdn' : 'cdn'
    const there = await look(other).catch(() => undefined)
    return there === undefined
      ? failedBy(error)
      : failed(
          `${domain} is no ${name} domain of this account, but one of ${other.toUpperCase()}`,
          `use --${other}-domain ${domain} instead`,
        )
  }
}

/** The right alidns:DescribeDomainRecords is tried by it. */
const zoneCheck = (name: string, endpoint: string | undefined, situation: Situation): Check => ({
  id: `zone ${name}`,
  about: 'domains',
  what: `the zone of ${name}`,
  reaches: true,
  run: async (signal) => {
    const found = await dnsZones(endpoint, situation.context).find(name, signal)
    if ('zone' in found)
      return ok(`${name} lies in the zone ${found.zone} of this account (alidns:DescribeDomainRecords: granted)`)
    const { refusal } = found
    // A CNAME at its place may lead to a zone of ours, whatever this one is.
    if (isRefusal(refusal)) return failedBy(refusal)
    return warning(
      refusal.message,
      `${refusal.hint ?? 'look at the zones of the account'}; where _acme-challenge.${name} is led to a zone of this account by a CNAME, all is well`,
    )
  },
})
