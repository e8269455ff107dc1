import { type HostProof, lookAt } from '../../proof/look.js'
import { type Check, failed, type Outcome, ok, warning } from '../check.js'
import { hostChecks } from '../hosts.js'
import type { Situation } from '../situation.js'

/** What a client sees: the name, the chain, the end of it. */
export const servedChecks = (situation: Situation): readonly Check[] =>
  hostChecks(situation, {
    id: 'served',
    about: 'served',
    what: (host) => `what ${host} serves`,
    look: async ({ host }, signal) => {
      const { now, looking, timeout } = situation.context
      const { connect, nameServer } = looking
      return servedOutcome(await lookAt(host, { connect, nameServer, timeout, now, signal }), now())
    },
  })

const day = 86_400_000

export const servedOutcome = (proof: HostProof, now: Date): Outcome => {
  const { host, served, addresses, problem, warnings } = proof
  if (!served) {
    const shown = problem?.browser === undefined ? '' : ` (browsers show ${problem.browser})`
    const sentence = problem?.sentence ?? 'it is not served'
    return failed(
      `${sentence.startsWith(`${host} `) ? '' : `${host}: `}${sentence}${shown}`,
      problem === undefined ? `acme-oss verify ${host} shows more` : `${problem.cause}: ${problem.hint}`,
    )
  }
  const seen = addresses.flatMap(({ certificate }) => (certificate === null ? [] : [certificate]))
  const [first] = seen.sort((a, b) => a.notAfter.getTime() - b.notAfter.getTime())
  if (first === undefined) return failed(`${host}: it is not served`, `acme-oss verify ${host} shows more`)
  const [remark] = warnings
  if (remark !== undefined) return warning(`${host}: ${remark}`, `acme-oss verify ${host} shows more`)
  const left = first.notAfter.getTime() - now.getTime()
  const lifetime = first.notAfter.getTime() - first.notBefore.getTime()
  const until = first.notAfter.toISOString().slice(0, 10)
  // By then a renewal is long overdue.
  if (left < Math.min(14 * day, lifetime / 4)) {
    return warning(
      `${host} serves a certificate that ends on ${until}`,
      'acme-oss status says whether a newer one waits to be deployed; acme-oss renew issues one that is due',
    )
  }
  return ok(`${host} serves a certificate that is trusted, with its chain, until ${until}`)
}
