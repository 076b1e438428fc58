// SPDX-License-Identifier: Apache-2.0

//go:build !fault

package part

func systemDisk() disk { return osDisk{} }
