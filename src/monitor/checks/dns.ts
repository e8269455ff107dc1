import { connectsOf } from '../../proof/connect-to.js'
import { type DnsPath, followDns, type HostedOn, placeNames, whyUnseen } from '../../proof/dns-path.js'
import { type Check, failed, type Outcome, ok, unknown, warning } from '../check.js'
import { type Host, hostChecks } from '../hosts.js'
import { edgesOf, type Situation } from '../situation.js'

/** Where the name of each host leads, and whether that is where its certificate is hosted. */
export const dnsChecks = (situation: Situation): readonly Check[] =>
  hostChecks(situation, {
    id: 'dns',
    about: 'dns',
    what: (host) => `where DNS of ${host} leads`,
    look: (host, signal) => lookAtHost(host, situation, signal),
  })

const lookAtHost = async (host: Host, situation: Situation, signal: AbortSignal): Promise<Outcome> => {
  const { nameServer, connect } = situation.context.looking
  if (nameServer === undefined && connectsOf(host.host, connect).length > 0) {
    return unknown(`where DNS of ${host.host} leads: not asked, since --connect says where to dial`)
  }
  const path = await followDns(host.host, { nameServer, signal })
  const product = await edgeOf(host, path, situation, signal)
  return dnsOutcome(host, path, product)
}

/** CDN and DCDN share their suffixes: where nothing is hosted on either, only they know whose domain it is. */
const edgeOf = async (
  { host, hostedOn }: Host,
  { leadsTo }: DnsPath,
  situation: Situation,
  signal: AbortSignal,
): Promise<'cdn' | 'dcdn' | undefined> => {
  if (leadsTo !== 'cdn' || hostedOn.has('cdn')) return undefined
  const looks = (['cdn', 'dcdn'] as const).map(async (product) => {
    const found = await edgesOf(situation, product)
      .domains.certificate(host, signal)
      .catch(() => undefined)
    return found && product
  })
  return (await Promise.all(looks)).find((product) => product !== undefined)
}

/** @param product whose domain it is, where that is of use and known */
export const dnsOutcome = (
  { host, hostedOn }: Host,
  { leadsTo, cnames }: DnsPath,
  product: 'cdn' | 'dcdn' | undefined,
): Outcome => {
  const way = cnames.length === 0 ? '' : ` (${cnames.join(', then ')})`
  if (leadsTo === 'unknown') {
    return unknown(
      cnames.length === 0
        ? `DNS shows no CNAME of ${host}, so it does not tell where that leads`
        : `DNS of ${host} leads to a place that is not known${way}`,
    )
  }
  const [first] = hostedOn
  const why = [...hostedOn].some((place) => place === leadsTo) ? undefined : whyUnseen(host, leadsTo, first as HostedOn)
  if (why === undefined) return ok(`DNS of ${host} leads to ${placeNames[leadsTo]}${way}`)
  // What stands in front has a certificate of its own, which may well be in order.
  if (leadsTo === 'protection') return warning(why.cause, why.hint)
  const hint = product === undefined ? why.hint : `add --${product}-domain ${host}`
  return failed(why.cause, hint)
}
