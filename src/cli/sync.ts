import { CertError } from '../errors.js'
import { nearest } from '../nearest.js'
import type { SyncedName } from '../pipeline/sync.js'
import { deploymentNames } from '../state/deployments.js'
import { sweepLocks } from '../state/lock.js'
import { StateFolder } from '../state/state-folder.js'
import { alerted } from './alerted.js'
import { defineCommand, exitCodes } from './command.js'
import { briefLookFlags, commonFlags, reachFlags, stateRoot } from './common-flags.js'
import { openReach } from './deployment.js'
import { toggle } from './flag.js'
import { printJson } from './json.js'
import { once } from './once.js'
import { showSynced, statusOfAll, syncedJson, syncNames } from './synced.js'
import { targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig } from './wanted-targets.js'

export const command = defineCommand({
  name: 'sync',
  summary:
    'Tries again all that is wanted and not yet there, when its time has come. acme-oss renew, which a timer runs every ten minutes, ends in this. Exit status 0 also where something is left that is not due yet.',
  flags: { now: toggle('at once, whether it is due or not'), ...reachFlags, ...briefLookFlags, ...commonFlags },
  late: targetFlags,
  words: { usage: '[NAME...]', most: Number.POSITIVE_INFINITY },
  examples: [
    ['acme-oss sync --now', 'after whatever stood in the way has been mended'],
    ['acme-oss sync example.com --now', 'one certificate'],
  ],
  run: alerted({ command: 'sync', typed: false }, async (values, surroundings, parsed) => {
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
    try {
      const synced = await syncNames(names, { state, reach, wish, all: values.now })
      const status = statusOfAll(synced)
      if (values.json) terminal.result(printJson(resultJson(synced, status)))
      else showSynced(terminal, synced)
      return status
    } finally {
      reach.connections.close()
    }
  }),
})

/**
 * All that anything is wanted under, or of those the ones that were named.
 * @param all those that there are, where it is not only what is to be deployed
 * @throws CertError USAGE: nothing is wanted under it
 */
export const chosenNames = async (
  state: StateFolder,
  asked: readonly string[],
  all?: readonly string[],
): Promise<readonly string[]> => {
  const names = all ?? (await deploymentNames(state))
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

const resultJson = (synced: readonly SyncedName[], status: number) => ({
  schema: 'acme-oss/1',
  command: 'sync',
  ok: status === exitCodes.done,
  results: syncedJson(synced),
  warnings: [],
  error: null,
})
