import type { Config } from '../config/config.js'
import { eachOf } from '../each-of.js'
import { CertError, toCertError } from '../errors.js'
import { nearest } from '../nearest.js'
import { deploymentNames } from '../state/deployments.js'
import { keepLastRun } from '../state/last-run.js'
import { sweepLocks } from '../state/lock.js'
import { StateFolder } from '../state/state-folder.js'
import { alerted } from './alerted.js'
import { defineCommand, exitCodes, type Surroundings } from './command.js'
import { briefLookFlags, type Common, commonFlags, reachFlags, stateRoot } from './common-flags.js'
import { openReach, showFailure } from './deployment.js'
import { toggle, wholeNumber } from './flag.js'
import { errorJson, printJson } from './json.js'
import { ownName, type Renewable, renewables } from './renewable.js'
import { type Decided, Renewals } from './renewals.js'
import { renewedJson, showRenewed, statusOfRenewals } from './renewed.js'
import { isInShard, shardFlag } from './shard.js'
import { showSynced, statusOfAll, syncedJson, syncNames } from './synced.js'
import { targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig } from './wanted-targets.js'

export const command = defineCommand({
  name: 'renew',
  summary:
    'Renews what is due of all that acme-oss issues (by the configuration, or once by issue-and-deploy), deploys it, and then does what sync does. A timer runs it every ten minutes. Exit status 0 also where nothing is due.',
  flags: {
    'force-renewal': toggle('order a new certificate for NAME although the stored one is not due'),
    concurrency: wholeNumber('how many certificates at a time', { min: 1, max: 100, fallback: 8, placeholder: 'N' }),
    shard: shardFlag,
    'dry-run': toggle('say what is due and why, and do nothing'),
    ...reachFlags,
    ...briefLookFlags,
    ...commonFlags,
  },
  late: targetFlags,
  words: { usage: '[NAME...]', most: Number.POSITIVE_INFINITY },
  examples: [
    ['acme-oss renew', 'what the timer runs'],
    ['acme-oss renew example.com --force-renewal', 'one certificate, due or not'],
  ],
  run: alerted({ command: 'renew', typed: false }, async (values, surroundings, parsed) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const root = stateRoot(values, surroundings)
    // Only looked at, so that a refusal leaves nothing behind.
    const state = StateFolder.at(root)
    const { config, fault } = await readableConfig(values, surroundings, values['dry-run'] ? undefined : state)
    if (fault !== undefined) showFailure(terminal, 'what is remembered has to do', fault)
    const warnings: string[] = []
    const warn = (what: string): void => {
      terminal.warning(what)
      warnings.push(what)
    }
    const all = await renewables({
      config,
      state,
      read: parsed.read,
      isUnreadable: fault !== undefined,
      isKept: !values['dry-run'],
      signal: surroundings.signal,
      warn,
    })
    // A certificate and the one that stands by for it are one machine's.
    const meant = (name: string) => isInShard(ownName(name), values.shard)
    const chosen = chosenOf(all, parsed.words, state).filter(({ name }) => meant(name))
    if (values['force-renewal'] && parsed.words.length === 0 && chosen.length > 1) {
      throw new CertError('USAGE', `--force-renewal would order ${chosen.length} certificates, due or not`, {
        hint: 'name those that you mean: acme-oss renew example.com --force-renewal',
      })
    }
    if (!values['dry-run']) await StateFolder.open(root)
    const reach = openReach(values, surroundings, terminal)
    const targetValues = () => parsed.read(targetFlags)
    const wish = { values, targetValues, config: async () => config, surroundings, terminal, typed: false }
    const renewals = new Renewals({
      state,
      reach,
      wish,
      force: values['force-renewal'],
      dryRun: values['dry-run'],
      isAlone: chosen.length === 1,
      isAsked: parsed.words.length > 0,
    })
    try {
      if (!values['dry-run']) await sweepLocks(state)
      const decided = (await eachOf(chosen, values.concurrency, (one) => renewals.decide(one))).flat()
      const ordered = new Set(decided.flatMap(({ order, renewed: { name } }) => (order === undefined ? [] : [name])))
      const others = values['dry-run'] ? [] : await otherNames(state, parsed.words, decided)
      // A CA that takes its time keeps nobody's deployment waiting.
      const sync = (names: readonly string[]) => syncNames(names, { state, reach, wish, all: false })
      const [renewed, beside] = await Promise.all([
        eachOf(decided, values.concurrency, async (one) => (await one.order?.()) ?? one.renewed),
        sync(others.filter((name) => !ordered.has(name) && meant(name))),
      ])
      // Where no new one came, the one before may still be wanted somewhere.
      const failed = new Set(renewed.filter(({ ended }) => ended === undefined).map(({ name }) => name))
      const after = await sync(others.filter((name) => ordered.has(name) && failed.has(name)))
      const synced = [...beside, ...after]
      const statuses = [statusOfRenewals(renewed), ...(synced.length === 0 ? [] : [statusOfAll(synced)])]
      const anyDone = renewed.some(({ ended }) => ended !== undefined)
      const known = together(statuses, anyDone)
      const spoilt = anyDone ? exitCodes.partly : exitCodes.refused
      const status = fault === undefined || known !== exitCodes.done ? known : spoilt
      const isWhole = parsed.words.length === 0 && !values['dry-run'] && !surroundings.signal.aborted
      if (isWhole) await keepLastRun(state, surroundings.now(), status)
      if (values.json) {
        const results = [...renewedJson(renewed), ...syncedJson(synced)]
        const ok = status === exitCodes.done
        terminal.result(
          printJson({
            schema: 'acme-oss/1',
            command: 'renew',
            ok,
            results,
            warnings,
            error: fault === undefined ? null : errorJson(fault),
          }),
        )
      } else {
        showRenewed(terminal, renewed, values['dry-run'])
        if (synced.some(({ certificates, error }) => error !== undefined || certificates.length > 0)) {
          showSynced(terminal, synced)
        }
      }
      return status
    } finally {
      renewals.close()
      reach.connections.close()
    }
  }),
})

/** A fault in it is no reason to let certificates expire that were issued before: a timer runs at night. */
const readableConfig = async (
  values: Common,
  surroundings: Surroundings,
  state: StateFolder | undefined,
): Promise<{ readonly config: Config | undefined; readonly fault: CertError | undefined }> => {
  try {
    return { config: await openConfig(values, surroundings, false, state), fault: undefined }
  } catch (error) {
    return { config: undefined, fault: toCertError(error) }
  }
}

/** @throws CertError USAGE: nothing of that name is issued by us */
const chosenOf = (all: readonly Renewable[], asked: readonly string[], state: StateFolder): readonly Renewable[] => {
  if (asked.length === 0) return all
  // A long name is shortened on disk.
  const known = new Map(all.map((one) => [state.path(one.name), one]))
  return [...new Set(asked)].map((name) => {
    const one = known.get(state.path(name))
    if (one !== undefined) return one
    const names = all.map((other) => other.name)
    const near = nearest(name, names)
    throw new CertError('USAGE', `acme-oss does not issue a certificate called ${name}`, {
      hint:
        near === undefined
          ? 'what a client of another name issued is renewed by that client; acme-oss sync deploys what it handed over'
          : `did you mean ${near}?`,
    })
  })
}

/** What is to be deployed once more: all there is, or what was named. */
const otherNames = async (
  state: StateFolder,
  asked: readonly string[],
  decided: readonly Decided[],
): Promise<readonly string[]> => {
  const names = await deploymentNames(state)
  if (asked.length === 0) return names
  const meant = new Set(decided.map(({ renewed }) => state.path(renewed.name)))
  return names.filter((name) => meant.has(state.path(name)))
}

/** All that went wrong is a failure where nothing went well. */
const together = (statuses: readonly number[], anyDone: boolean): number => {
  if (statuses.every((status) => status === exitCodes.done)) return exitCodes.done
  const isPartly = anyDone || statuses.includes(exitCodes.partly)
  return isPartly && !statuses.every((status) => status === exitCodes.failed) ? exitCodes.partly : exitCodes.failed
}
