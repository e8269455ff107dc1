import type { AddressProof, HostProof, ServedCertificate } from '../proof/look.js'
import type { Problem } from '../proof/problem.js'
import { placeOf } from '../proof/wait-until-served.js'
import type { Terminal } from './terminal.js'

/** As one names it in a browser: 443 goes without saying. */
export const labelOf = ({ host, port }: Pick<HostProof, 'host' | 'port'>): string =>
  port === 443 ? host : placeOf({ address: host, port })

/** One line, a table of its addresses, and what is wrong. */
export const showProof = (terminal: Terminal, proof: HostProof): void => {
  const { served, addresses, warnings, cnames, leadsTo } = proof
  const mark = served ? terminal.paint('green', '✓') : terminal.paint('red', '✗')
  const way = leadsTo === 'unknown' ? '' : `, DNS leads to ${ways[leadsTo]} (${cnames.at(0) ?? proof.host})`
  terminal.result(`${mark} ${labelOf(proof)}: ${served ? 'served' : 'not served as it ought to be'}${way}`)
  const rows = addresses.map((one) => [placeOf(one), ...cellsOf(one)])
  const widths = columnWidths(rows)
  addresses.forEach((one, i) => {
    const row = rows[i] ?? []
    const cells = row.map((cell, column) => cell.padEnd(column === 0 || row.length > 3 ? (widths[column] ?? 0) : 0))
    terminal.result(`    ${markOf(terminal, one, served)} ${cells.join('  ').trimEnd()}`)
  })
  for (const [problem, places] of problemsOf(proof)) explain(terminal, problem, places)
  for (const warning of warnings) terminal.warning(`${labelOf(proof)}: ${warning}`)
}

const ways = {
  oss: 'OSS',
  cdn: 'CDN',
  stopped: 'a CDN domain that is stopped',
  protection: 'WAF or Anti-DDoS',
} as const

const markOf = (terminal: Terminal, { verdict }: AddressProof, hostIsServed: boolean): string => {
  if (verdict.served) return terminal.paint('green', '✓')
  return hostIsServed ? terminal.paint('yellow', '!') : terminal.paint('red', '✗')
}

const cellsOf = ({ certificate, verdict, ms }: AddressProof): string[] => {
  const kind = verdict.served ? [] : [verdict.problem.kind]
  if (certificate === null) return [...kind, `${ms} ms`]
  return [
    namesOf(certificate),
    `until ${certificate.notAfter.toISOString().slice(0, 16).replace('T', ' ')}Z`,
    certificate.sha256.slice(0, 8),
    `chain ${certificate.chainComplete ? 'complete' : 'incomplete'}, ${certificate.trusted ? 'trusted' : 'not trusted'}`,
    `${ms} ms`,
    ...kind,
  ]
}

const namesOf = ({ names }: ServedCertificate): string =>
  [names.slice(0, 2).join(' '), ...(names.length > 2 ? [`and ${names.length - 2} more`] : [])].join(' ')

/** Those without a certificate say too little to be aligned. */
const columnWidths = (rows: readonly (readonly string[])[]): number[] => {
  const aligned = rows.filter((row) => row.length > 3)
  return [0, 1, 2, 3, 4].map((column) =>
    Math.max(0, ...(column === 0 ? rows : aligned).map((row) => row[column]?.length ?? 0)),
  )
}

/** Each once, with all the places that have it. */
const problemsOf = ({ addresses, problem, served }: HostProof): Map<Problem, string[]> => {
  const found = new Map<string, [Problem, string[]]>()
  for (const one of addresses) {
    if (one.verdict.served || served) continue
    const key = JSON.stringify(one.verdict.problem)
    const [, places] = found.get(key) ?? [undefined, []]
    found.set(key, [one.verdict.problem, [...places, placeOf(one)]])
  }
  if (addresses.length === 0 && problem !== undefined) found.set('', [problem, []])
  return new Map(found.values())
}

const explain = (terminal: Terminal, problem: Problem, places: readonly string[]): void => {
  const where = places.length === 0 ? '' : `${places.join(', ')}: `
  terminal.result(`    ${where}${problem.sentence}`)
  terminal.result(`      browsers show: ${problem.browser ?? 'the page, without a complaint'}`)
  terminal.result(`      likely cause: ${problem.cause}`)
  terminal.result(`      what to do: ${problem.hint}`)
}

/** Documented in docs/json.md. */
export const hostJson = ({ host, port, served, leadsTo, cnames, addresses, problem }: HostProof) => ({
  host,
  port,
  served,
  leadsTo,
  cnames,
  addresses: addresses.map(addressJson),
  problem: problemJson(problem),
})

const addressJson = ({ address, port, verdict, certificate, ms }: AddressProof) => {
  const problem = verdict.served ? undefined : verdict.problem
  return {
    address,
    port,
    served: verdict.served,
    certificate:
      certificate === null
        ? null
        : {
            names: certificate.names,
            notBefore: certificate.notBefore.toISOString(),
            notAfter: certificate.notAfter.toISOString(),
            issuer: certificate.issuer,
            sha1: certificate.sha1,
            sha256: certificate.sha256,
          },
    trusted: certificate?.trusted ?? null,
    chainComplete: certificate?.chainComplete ?? null,
    browser: problem?.browser ?? null,
    problem: problemJson(problem),
    ms,
  }
}

const problemJson = (problem: Problem | undefined) =>
  problem === undefined
    ? null
    : { kind: problem.kind, message: problem.sentence, cause: problem.cause, hint: problem.hint }
