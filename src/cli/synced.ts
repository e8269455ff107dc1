import { eachOf } from '../each-of.js'
import { type Synced, type SyncedName, syncName } from '../pipeline/sync.js'
import type { StateFolder } from '../state/state-folder.js'
import { createTarget } from '../targets/index.js'
import { exitCodes } from './command.js'
import { type Reach, showFailure, shownSteps, statusOf, title } from './deployment.js'
import { certificateJson, errorJson, pendingJson, stageJson } from './json.js'
import type { Terminal } from './terminal.js'
import { type Wish, wantedTargets } from './wanted-targets.js'

// Side by side; each waits for the network most of its time.
export const namesAtOnce = 8

/**
 * Tries again what is left to be done, under each of the names.
 * @param all what is not due yet as well
 */
export const syncNames = async (
  names: readonly string[],
  {
    state,
    reach,
    wish,
    all,
  }: {
    readonly state: StateFolder
    readonly reach: Reach
    readonly wish: Wish
    readonly all: boolean
  },
): Promise<SyncedName[]> => {
  const { terminal, surroundings } = wish
  const { now, signal } = surroundings
  return await eachOf(names, namesAtOnce, (one) =>
    syncName(one, {
      state,
      now,
      signal,
      all,
      create: (kind, settings) => createTarget(kind, settings, reach.context),
      resolve: async (bundle) => reach.targets(await wantedTargets(wish, bundle)),
      observer: (of) => shownSteps(terminal, of),
      onWait: (of, owner) => terminal.progress(`${of}: waiting for ${owner}, which is at work on it`),
    }),
  )
}

export const statusOfAll = (synced: readonly SyncedName[]): number => {
  const certificates = synced.flatMap((one) => one.certificates)
  const stages = certificates.flatMap((one) => one.stages)
  const errors = [...synced, ...certificates].filter(({ error }) => error !== undefined)
  if (errors.length === 0) return statusOf(stages)
  return stages.some(({ status }) => status !== 'failed') ? exitCodes.partly : exitCodes.failed
}

/** One entry for each certificate that anything was left of, and one for each name that could not be looked at. */
export const syncedJson = (synced: readonly SyncedName[]) =>
  synced.flatMap(({ name, certificates, error }) => [
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
  ])

export const showSynced = (terminal: Terminal, synced: readonly SyncedName[]): void => {
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
