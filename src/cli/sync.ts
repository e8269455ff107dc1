import { eachOf } from '../each-of.js'
import { CertError } from '../errors.js'
import { nearest } from '../nearest.js'
import { type Synced, type SyncedName, syncName } from '../pipeline/sync.js'
import { deploymentNames } from '../state/deployments.js'
import { sweepLocks } from '../state/lock.js'
import { StateFolder } from '../state/state-folder.js'
import { createTarget } from '../targets/index.js'
import { defineCommand, exitCodes } from './command.js'
import { briefLookFlags, commonFlags, reachFlags, stateRoot } from './common-flags.js'
import { openReach, showFailure, shownSteps, statusOf, title } from './deployment.js'
import { toggle } from './flag.js'
import { certificateJson, errorJson, pendingJson, printJson, stageJson } from './json.js'
import { once } from './once.js'
import { targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig, wantedTargets } from './wanted-targets.js'

// Side by side; each waits for the network most of its time.
export const namesAtOnce = 8

export const command = defineCommand({
  name: 'sync',
  summary:
    'Tries again all that is wanted and not yet there, when its time has come. A timer runs it every ten minutes. Exit status 0 also where something is left that is not due yet.',
  flags: { now: toggle('at once, whether it is due or not'), ...reachFlags, ...briefLookFlags, ...commonFlags },
  late: targetFlags,
  words: { usage: '[NAME...]', most: Number.POSITIVE_INFINITY },
  examples: [
    ['acme-oss sync --now', 'after whatever stood in the way has been mended'],
    ['acme-oss sync example.com --now', 'one certificate'],
  ],
  run: async (values, surroundings, parsed) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const state = await StateFolder.open(stateRoot(values, surroundings))
    const names = await chosenNames(state, parsed.words)
    await sweepLocks(state)
    const reach = openReach(values, surroundings, terminal)
    const config = once(() => openConfig(values, surroundings, false, state))
    const wish = {
      values,
      targetValues: () => parsed.read(targetFlags),
      config,
      surroundings,
      terminal,
      typed: false,
    }
    const { now, signal } = surroundings
    try {
      const synced = await eachOf(names, namesAtOnce, (one) =>
        syncName(one, {
          state,
          now,
          signal,
          all: values.now,
          create: (kind, settings) => createTarget(kind, settings, reach.context),
          resolve: async (bundle) => reach.targets(await wantedTargets(wish, bundle)),
          observer: (of) => shownSteps(terminal, of),
          onWait: (of, owner) => terminal.progress(`${of}: waiting for ${owner}, which is at work on it`),
        }),
      )
      const status = statusOfAll(synced)
      if (values.json) terminal.result(printJson(resultJson(synced, status)))
      else show(terminal, synced)
      return status
    } finally {
      reach.connections.close()
    }
  },
})

/**
 * All that anything is wanted under, or of those the ones that were named.
 * @throws CertError USAGE: nothing is wanted under it
 */
export const chosenNames = async (state: StateFolder, asked: readonly string[]): Promise<readonly string[]> => {
  const names = await deploymentNames(state)
  if (asked.length === 0) return names
  // A long name is shortened on disk.
  const known = new Set(names.map((one) => state.path(one)))
  const strange = asked.find((one) => !known.has(state.path(one)))
  if (strange === undefined) return [...new Set(asked)]
  const near = nearest(strange, names)
  throw new CertError('USAGE', `nothing is or was wanted under the name ${strange}`, {
    hint:
      near === undefined ? 'acme-oss status lists the names' : `did you mean ${near}? acme-oss status lists the names`,
  })
}

const statusOfAll = (synced: readonly SyncedName[]): number => {
  const certificates = synced.flatMap((one) => one.certificates)
  const stages = certificates.flatMap((one) => one.stages)
  const errors = [...synced, ...certificates].filter(({ error }) => error !== undefined)
  if (errors.length === 0) return statusOf(stages)
  return stages.some(({ status }) => status !== 'failed') ? exitCodes.partly : exitCodes.failed
}

const resultJson = (synced: readonly SyncedName[], status: number) => ({
  schema: 'acme-oss/1',
  command: 'sync',
  ok: status === exitCodes.done,
  results: synced.flatMap(({ name, certificates, error }) => [
    ...certificates.map((one) => ({
      name,
      certificate: certificateJson(one.facts),
      stages: one.stages.map(stageJson),
      pending: one.pending.map(pendingJson),
      warnings: one.warnings,
      error: one.error === undefined ? null : errorJson(one.error),
    })),
    ...(error === undefined
      ? []
      : [{ name, certificate: null, stages: [], pending: [], warnings: [], error: errorJson(error) }]),
  ]),
  warnings: [],
  error: null,
})

const show = (terminal: Terminal, synced: readonly SyncedName[]): void => {
  for (const { name, certificates, error } of synced) {
    for (const certificate of certificates) showCertificate(terminal, certificate)
    if (error !== undefined) terminal.failure(`${name}: ${error.message}`, error.hint)
  }
  const open = synced.flatMap(({ certificates }) => certificates.flatMap(({ pending }) => pending))
  const failed = synced.some(({ error }) => error !== undefined)
  if (open.length > 0) terminal.progress('acme-oss status shows what is left, and when it is tried again')
  else if (!failed) terminal.progress('nothing is left to do')
}

const showCertificate = (terminal: Terminal, { facts, stages, warnings, error }: Synced): void => {
  for (const warning of warnings) terminal.warning(warning)
  const inPlace = stages
    .filter(({ status }) => status === 'changed' || status === 'unchanged')
    .map(({ target }) => target)
  if (inPlace.length > 0) terminal.result(`${title(facts)} is in place: ${inPlace.join(', ')}`)
  for (const { target, steps } of stages) {
    for (const step of steps) {
      if (step.status === 'failed') showFailure(terminal, `${facts.name}: ${target}`, step.error)
    }
  }
  if (error !== undefined) showFailure(terminal, facts.name, error)
}
