import type { Settings } from '../config/option.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import type { AskedTarget } from './target-flags.js'

/**
 * The settings of a bucket solver, made whole by what the targets say of the bucket that the names are bound to: that of
 * the first bound domain, else that of the layout. Whole, since renewals know nothing else. Other solvers' stay as they are.
 */
export const withChallengeBucket = (settings: SolverSettings, targets: readonly AskedTarget[]): SolverSettings => {
  if (settings.solver !== 'bucket') return settings
  const about = (kind: string) => targets.filter((one) => one.kind === kind).map((one) => one.settings)
  const layouts = about('oss')
  const found: Settings = [...about('oss-cname'), ...layouts][0] ?? {}
  const bucket = settings.challengeBucket ?? textOf(found, 'bucket')
  const endpoint = textOf(found, 'endpoint')
  // A bound domain leads to the layout's bucket alone; any other endpoint to all of the region.
  const cname = found['cname-endpoint'] === true
  const leadsThere = !cname || layouts.some((layout) => layout['bucket'] === bucket)
  return {
    ...settings,
    challengeBucket: bucket,
    challengeRegion: settings.challengeRegion ?? textOf(found, 'region'),
    ...(settings.challengeEndpoint === undefined &&
      endpoint !== undefined &&
      leadsThere && { challengeEndpoint: endpoint, challengeEndpointIs: cname ? 'bound domain' : 'endpoint' }),
  }
}

const textOf = (settings: Settings, name: string): string | undefined => {
  const value = settings[name]
  return typeof value === 'string' ? value : undefined
}
