import { stat } from 'node:fs/promises'
import { type Check, failed, failedBy, type Outcome, ok, unknown, warning } from '../check.js'
import type { Configuration, ProcessFacts, Situation } from '../situation.js'

export const configurationChecks = ({ configuration, deployments, process }: Situation): readonly Check[] => {
  const { path } = configuration
  return [
    {
      id: 'configuration',
      about: 'configuration',
      what: 'the configuration',
      run: async () => configurationOutcome(configuration, deployments.length),
    },
    ...(path === undefined
      ? []
      : [
          {
            id: 'configuration-file',
            about: 'configuration' as const,
            what: `who may write ${path}`,
            run: async () => {
              const { uid, mode } = await stat(path)
              return ownershipOutcome(path, { uid, mode }, process)
            },
          },
        ]),
  ]
}

/** @param deployments how many there are to look at, wherever they were found */
export const configurationOutcome = ({ path, fault, entries }: Configuration, deployments: number): Outcome => {
  if (fault !== undefined) return failedBy(fault)
  if (path !== undefined && entries > 0) return ok(`${path} is in order: certificates: ${entries}`)
  if (path !== undefined) {
    return warning(`${path} has no certificates in it`, 'add some below certificates:; docs/configuration.md shows how')
  }
  return deployments > 0
    ? ok('there is no configuration: what was named, or is on record, is looked at')
    : unknown(
        'there is no configuration, no target is given, and nothing is on record',
        'acme-oss config init writes a configuration; or name targets as for acme-oss deploy, such as --bucket my-ssl-certs --region cn-hangzhou',
      )
}

/** It says which commands run and where private keys go. */
export const ownershipOutcome = (
  path: string,
  { uid, mode }: { readonly uid: number; readonly mode: number },
  { userId }: Pick<ProcessFacts, 'userId'>,
): Outcome => {
  if ((mode & 0o022) !== 0) return failed(`${path} can be written by others`, `chmod go-w ${path}`)
  if (uid !== 0 && uid !== userId) {
    return failed(`${path} belongs to another user (${uid})`, `chown it to root, or to the user that acme-oss runs as`)
  }
  return ok(`${path} can be written by its owner alone`)
}
