import type { DeployTarget } from './target.js'

/** A layout of which nothing but the archive is written: what stands in `latest/` stays. */
export const archiveOnly = (target: DeployTarget): DeployTarget => {
  const { identity, name, kind, settings, serves, warmUp } = target
  return {
    // It is no other's place: what is in `latest/` neither gives way to it nor keeps it from being written.
    identity: `${identity} archive only`,
    name: `${name} (archive only)`,
    kind,
    // Also where it is made again out of what is recorded of it.
    settings: { ...settings, 'archive-only': true },
    serves,
    ...(warmUp && { warmUp }),
    observe: async () => ({ status: 'refused' }),
    plan: (bundle, circumstances) => target.plan(bundle, circumstances).filter(({ id }) => id === 'archive'),
  }
}
