import { resolve } from 'node:path'
import { writeDurably } from '../durable-file.js'
import { eachOf } from '../each-of.js'
import { CertError, systemCode } from '../errors.js'
import { defaultThresholds, httpsConcerns, type Thresholds } from '../monitor/concerns.js'
import { Metrics } from '../monitor/metrics.js'
import { type NameFacts, readAllFacts, recordedNames } from '../monitor/name-facts.js'
import { type NameStanding, nameStanding } from '../monitor/name-standing.js'
import { standingsOf, type TargetStanding } from '../monitor/standing.js'
import { redact } from '../secret.js'
import { recordedChain } from '../state/deployments.js'
import { type HttpsRecords, httpsRecords, relaxedPlaces } from '../state/https-record.js'
import { readLastRun } from '../state/last-run.js'
import { StateFolder } from '../state/state-folder.js'
import { createTarget } from '../targets/index.js'
import { defineCommand, exitCodes, type Surroundings } from './command.js'
import { commonFlags, stateRoot } from './common-flags.js'
import { openReach, type ReachValues } from './deployment.js'
import { text, toggle, wholeNumber } from './flag.js'
import { printJson } from './json.js'
import { once } from './once.js'
import { proofFlags } from './proof-flags.js'
import { relaxedJson, standingJson } from './status-json.js'
import { showConcern, showStanding, tableHead, tableLine } from './status-table.js'
import { chosenNames } from './sync.js'
import { namesAtOnce } from './synced.js'
import { Terminal, wantsColor } from './terminal.js'

export const command = defineCommand({
  name: 'status',
  summary:
    'Lists all certificates: days left, what is wanted, what each place holds, and what is pending with its last error and its next try; with --live also what is served. Exit status 1 where something is pending or needs a person.',
  flags: {
    live: toggle('look at what every domain serves, too'),
    'no-look': toggle('do not ask the cloud: what is on record is enough'),
    'expiry-days': wholeNumber(
      'days before its end that a certificate needs a person; a third of its lifetime if that is less',
      {
        min: 1,
        max: 3650,
        fallback: defaultThresholds.expiryDays,
        placeholder: 'N',
      },
    ),
    prometheus: text("write metrics for Prometheus' textfile collector instead; - is standard output", {
      placeholder: 'FILE',
    }),
    ...proofFlags,
    timeout: wholeNumber('seconds for one place to be looked at', { min: 1, max: 3600, fallback: 10 }),
    ...commonFlags,
  },
  words: { usage: '[NAME...]', most: Number.POSITIVE_INFINITY },
  examples: [
    ['acme-oss status --live', 'all of it, and what is served'],
    ['acme-oss status --no-look --prometheus /var/lib/node_exporter/acme-oss.prom', 'for alerts'],
  ],
  run: async (values, surroundings, { words }) => {
    const color = wantsColor(values['no-color'], surroundings) && isWatched(surroundings)
    const terminal = new Terminal(surroundings, { ...values, color })
    requireOne(values)
    // Only looked at: asking is not to make anything.
    const state = StateFolder.at(stateRoot(values, surroundings))
    const names = await chosenNames(state, words, await recordedNames(state))
    // Asked for some names, one is not told of what is about none of them.
    const https = words.length > 0 ? { records: [], damaged: [] } : await httpsRecords(state)
    const report = reportOf(values, { terminal, state, surroundings, https, isAsked: words.length > 0 }, names.length)
    const look = lookerOf(state, values, surroundings, terminal)
    const thresholds: Thresholds = { expiryDays: values['expiry-days'] }
    let needsAttention = httpsConcerns(https).length > 0
    try {
      for await (const some of batches(readAllFacts(state, names))) {
        const standings = await eachOf(some, namesAtOnce, async (facts) =>
          nameStanding(facts, await look?.of(facts), thresholds, surroundings.now()),
        )
        for (const standing of standings.filter(({ entries }) => entries.length > 0)) {
          needsAttention ||= standing.needsAttention
          report.add(standing)
        }
      }
    } finally {
      look?.close()
    }
    await report.end(needsAttention)
    return needsAttention ? exitCodes.failed : exitCodes.done
  },
})

/** All of it is a result, which may go into a file while somebody watches the errors. */
const isWatched = ({ output }: Surroundings): boolean => 'isTTY' in output && output.isTTY === true

interface StatusValues extends Omit<ReachValues, 'verify-timeout'> {
  readonly live: boolean
  readonly 'no-look': boolean
  readonly json: boolean
  readonly prometheus: string | undefined
}

/** @throws CertError USAGE */
const requireOne = (values: StatusValues): void => {
  const hint = 'leave one of them out'
  if (values.live && values['no-look']) throw new CertError('USAGE', '--live looks, and --no-look does not', { hint })
  if (values.json && values.prometheus === '-') {
    throw new CertError('USAGE', '--json and --prometheus - both print on standard output', { hint })
  }
}

interface Looker {
  /** Of each name the newest certificate alone: the others are there to be taken over from. */
  of(facts: NameFacts): Promise<ReadonlyMap<string, TargetStanding> | undefined>
  close(): void
}

const lookerOf = (
  state: StateFolder,
  { live, 'no-look': noLook, ...values }: StatusValues,
  surroundings: Surroundings,
  terminal: Terminal,
): Looker | undefined => {
  if (noLook) return undefined
  const reach = openReach({ ...values, 'verify-timeout': 0 }, surroundings, terminal)
  const credentials = once(reach.context.credentials)
  return {
    of: async ({ records, hold }) => {
      const [newest] = records
      if (newest === undefined) return undefined
      return await standingsOf(newest, records, {
        create: (kind, settings) => createTarget(kind, settings, { ...reach.context, credentials }),
        looking: live ? reach.context.looking : undefined,
        chainOf: (record) => recordedChain(state, record),
        isHeld: hold !== undefined,
        now: surroundings.now,
        signal: surroundings.signal,
      })
    },
    close: () => reach.connections.close(),
  }
}

// So many are in memory at a time.
const batchSize = 64

async function* batches(all: AsyncIterable<NameFacts>): AsyncGenerator<readonly NameFacts[]> {
  let some: NameFacts[] = []
  for await (const one of all) {
    some.push(one)
    if (some.length < batchSize) continue
    yield some
    some = []
  }
  yield some
}

/** Where it is told, name by name. */
interface Report {
  add(standing: NameStanding): void
  end(needsAttention: boolean): Promise<void>
}

interface ReportContext {
  readonly terminal: Terminal
  readonly state: StateFolder
  readonly surroundings: Surroundings
  readonly https: HttpsRecords
  readonly isAsked: boolean
}

const reportOf = (values: StatusValues, context: ReportContext, count: number): Report => {
  const shown = values.json
    ? jsonReport(context)
    : values.prometheus === undefined
      ? textReport(context, count)
      : undefined
  const metrics = values.prometheus === undefined ? undefined : metricsReport(values.prometheus, context)
  return {
    add: (standing) => {
      metrics?.add(standing)
      shown?.add(standing)
    },
    end: async (needsAttention) => {
      await metrics?.end(needsAttention)
      await shown?.end(needsAttention)
    },
  }
}

const jsonReport = ({ terminal, surroundings, https }: ReportContext): Report => {
  // As text, which takes a tenth of the room.
  const results: string[] = []
  return {
    add: (standing) => results.push(...standingJson(standing, surroundings.now()).map(printJson)),
    end: async (needsAttention) => {
      const head = printJson({ schema: 'acme-oss/1', command: 'status', ok: !needsAttention }).slice(0, -1)
      const tail = printJson({
        relaxed: relaxedPlaces(https).map(relaxedJson),
        warnings: https.damaged.map(damagedHttps),
        error: null,
      }).slice(1)
      terminal.result(`${head},"results":[${results.join(',')}],${tail}`)
    },
  }
}

const damagedHttps = (path: string): string => `what was saved of the HTTPS of a place is damaged: ${path}`

// More than these are a table first, and then only those that need a person.
const fewNames = 10

const textReport = ({ terminal, state, surroundings, https, isAsked }: ReportContext, count: number): Report => {
  const inFull: NameStanding[] = []
  let isEmpty = true
  const isTable = count > 1
  if (isTable) terminal.result(tableHead(terminal))
  return {
    add: (standing) => {
      isEmpty = false
      if (isTable) terminal.result(tableLine(terminal, standing, surroundings.now()))
      if (count <= fewNames || isAsked || standing.needsAttention) inFull.push(standing)
    },
    end: async () => {
      if (isEmpty) terminal.result(`nothing is wanted (${state.root} holds no deployment)`)
      for (const standing of inFull) {
        if (isTable) terminal.result('')
        showStanding(terminal, standing, surroundings.now())
      }
      for (const one of httpsConcerns(https)) showConcern(terminal, one)
    },
  }
}

const metricsReport = (place: string, { terminal, state, surroundings, https }: ReportContext): Report => {
  const metrics = new Metrics()
  return {
    add: (standing) => metrics.add(standing, surroundings.now()),
    end: async () => {
      const run = await readLastRun(state)
      metrics.addOthers(relaxedPlaces(https), run?.at)
      const all = redact(metrics.text())
      if (place === '-') return terminal.result(all.trimEnd())
      const path = resolve(surroundings.folder, place)
      try {
        // The collector is another user.
        await writeDurably(path, all, { mode: 0o644, mayBeLost: true })
      } catch (error) {
        throw new CertError(
          'FOLDER_UNWRITABLE',
          `the metrics cannot be written: ${path}: ${systemCode(error) ?? error}`,
          {
            cause: error,
            hint: 'name a file in a folder that is there and that this user can write, with --prometheus',
          },
        )
      }
    },
  }
}
