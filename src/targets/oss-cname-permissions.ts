import { hostingActions } from '../aliyun/bound-domains.js'
import type { Permission } from '../aliyun/ram-policy.js'

export interface OssCnameUse {
  readonly bucket: string
  readonly isAuto: boolean
}

/** The rights that hosting a certificate for bound domains uses. */
export const ossCnamePermissions = ({ bucket, isAuto }: OssCnameUse): readonly Permission[] => {
  const resources = [`acs:oss:*:*:${bucket}`]
  return [
    { actions: ['oss:PutCname'], resources, needed: true, why: 'binds certificates to the domains of the bucket' },
    {
      actions: hostingActions,
      // The service knows no smaller one.
      resources: ['*'],
      needed: true,
      why: 'OSS asks for these of whoever has it host a certificate',
    },
    {
      actions: ['oss:ListCname'],
      resources,
      needed: isAuto,
      why: isAuto
        ? 'finds the domains of the bucket'
        : 'sees which certificate a domain has: the same is left alone, and so is a newer one',
    },
    ...(isAuto
      ? []
      : [
          {
            actions: ['oss:CreateCnameToken'],
            resources,
            needed: false,
            why: 'tells which DNS record proves a domain to be yours, where it is not bound yet',
          },
        ]),
  ]
}
