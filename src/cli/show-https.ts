import type { CertError } from '../errors.js'
import type { ChangeReport } from '../https/change-https.js'
import type { HttpsFacts, HttpsPlace, HttpsState } from '../https/https-place.js'
import { triedVersions, type VersionsServed } from '../proof/tls-versions.js'
import { printable } from './deployment.js'
import { errorJson } from './json.js'
import type { Terminal } from './terminal.js'

export interface ShownPlace {
  readonly place: Pick<HttpsPlace, 'name'>
  readonly status: 'planned' | 'changed' | 'unchanged' | 'failed'
  readonly changes: readonly ChangeReport[]
  /** Undefined where it could not be found out. */
  readonly state: HttpsState | undefined
  readonly warnings: readonly string[]
  readonly error: CertError | undefined
  readonly relaxedSince: string | undefined
  /** Undefined where nobody tried. */
  readonly live: readonly VersionsServed[] | undefined
}

const marks = {
  planned: ['…', 'yellow'],
  changed: ['✓', 'green'],
  unchanged: ['=', 'dim'],
  failed: ['✗', 'red'],
  skipped: ['-', 'dim'],
} as const

export const showPlace = (terminal: Terminal, verb: string, shown: ShownPlace): void => {
  const { place, status, state, changes, error, relaxedSince, live } = shown
  const [mark, style] = marks[status]
  const what = verb === 'status' ? '' : `${status === 'unchanged' ? 'nothing to change' : status}`
  const head = verb === 'status' ? place.name : `${terminal.paint(style, mark)} ${place.name}: ${what}`
  terminal.result(head)
  if (state !== undefined && status !== 'planned')
    for (const line of factLines(state.facts)) terminal.result(`    ${line}`)
  for (const one of changes.filter(() => status === 'planned' || status === 'failed'))
    showChange(terminal, one, status === 'planned')
  for (const { host, at, answers } of live ?? []) {
    const each = triedVersions.map((version) => `${version} ${answers[version]}`)
    terminal.result(`    ${host}${at === undefined ? ' (no address)' : ''}: TLS ${each.join(', ')}`)
  }
  if (relaxedSince !== undefined) {
    terminal.result(
      `    ${terminal.paint('yellow', `relaxed since ${minuteOf(relaxedSince)}`)}: acme-oss https restore or enforce of it ends that`,
    )
  }
  if (error !== undefined)
    terminal.failure(error.message.includes(place.name) ? error.message : `${place.name}: ${error.message}`, error.hint)
}

const showChange = (terminal: Terminal, { does, before, after, status }: ChangeReport, isPlanned: boolean): void => {
  if (!isPlanned) {
    const [mark, style] = marks[status]
    terminal.result(`    ${terminal.paint(style, mark)} ${does}${status === 'skipped' ? ' (not tried)' : ''}`)
    return
  }
  terminal.result(`    ${does}`)
  terminal.result(`      before: ${oneLine(before)}`)
  terminal.result(`      after:  ${oneLine(after)}`)
}

const oneLine = (text: string | null): string =>
  text === null ? 'nothing' : printable(text.replace(/\s+/g, ' ').trim())

const factLines = ({ https, plainHttp, redirectCode, tls, hsts, http2, gzip, brotli }: HttpsFacts): string[] => {
  const words = [
    https === null ? undefined : `HTTPS ${onOff(https)}`,
    plainHttp === null ? undefined : `plain HTTP ${plainHttp}${redirectCode === null ? '' : ` (${redirectCode})`}`,
    `TLS ${tls === null ? 'as the product chooses' : tls.join(', ')}`,
    hsts === null
      ? undefined
      : `HSTS ${hsts.maxAge} s${hsts.includeSubdomains ? ', with subdomains' : ''}${hsts.preload ? ', preload' : ''}`,
    http2 === null ? undefined : `HTTP/2 ${onOff(http2)}`,
    gzip === null ? undefined : `gzip ${onOff(gzip)}`,
    brotli === null ? undefined : `Brotli ${onOff(brotli)}`,
  ].filter((word) => word !== undefined)
  return [words.join('; ')]
}

const onOff = (value: boolean): string => (value ? 'on' : 'off')

/** In UTC, to the minute. */
const minuteOf = (at: string): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')}Z`

/** Documented in docs/json.md. */
export const httpsJson = (verb: string, shown: readonly ShownPlace[], ok: boolean) => ({
  schema: 'acme-oss/1',
  command: 'https',
  ok,
  action: verb,
  places: shown.map(({ place, status, changes, state, relaxedSince, live, error }) => ({
    place: place.name,
    status,
    facts: state?.facts ?? null,
    changes: changes.map(({ part, does, before, after, status: done }) => ({
      part,
      does,
      status: done,
      before,
      after,
    })),
    relaxedSince: relaxedSince ?? null,
    live: live?.map(({ host, at, answers }) => ({ host, address: at?.address ?? null, versions: answers })) ?? null,
    error: error === undefined ? null : errorJson(error),
  })),
  warnings: shown.flatMap(({ warnings }) => warnings),
  error: null,
})
